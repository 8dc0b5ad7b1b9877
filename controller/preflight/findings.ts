import { BlockferryError } from "../../foundation/blockferry-error.js";

/** Collects every problem, not only the first. */
export class Findings {
  problems: BlockferryError[] = [];
  readonly notes: string[] = [];

  /** @returns the result of `look`, or undefined when it failed with a problem */
  async attempt<T>(look: () => Promise<T>): Promise<T | undefined> {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof BlockferryError)) throw error;
      this.problems.push(error);
      return undefined;
    }
  }

  /** Adds a problem that replaces its consequences: calls about the same object that AWS denied. */
  explain(problem: BlockferryError): void {
    const comesOfIt = ({ code, object, cause }: BlockferryError) =>
      code === problem.code && object === problem.object && cause !== undefined;
    this.problems = [...this.problems.filter((other) => !comesOfIt(other)), problem];
  }

  /** @throws the single problem, or PreflightFailed with all of them */
  throwIfAny(): void {
    const [first, ...more] = this.problems;
    if (first === undefined) return;
    if (more.length === 0) throw first;
    throw new BlockferryError({
      code: "PreflightFailed",
      message: `${this.problems.length} problems stand in the way; nothing was made.`,
      details: this.problems.flatMap(({ code, message, remedy }) => [`- ${code}: ${message}`, `  ${remedy}`]),
      remedy: "Solve them, then run it again.",
      object: first.object,
    });
  }
}
