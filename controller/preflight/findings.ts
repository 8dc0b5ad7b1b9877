import { BlockferryError } from "../../foundation/blockferry-error.js";

/** Everything that stands in the way, and not only the first of it. */
export class Findings {
  problems: BlockferryError[] = [];
  readonly notes: string[] = [];

  /** @returns what `look` returns, or undefined when it found a problem */
  async attempt<T>(look: () => Promise<T>): Promise<T | undefined> {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof BlockferryError)) throw error;
      this.problems.push(error);
      return undefined;
    }
  }

  /** Adds a problem in place of those that come of it: calls about the same object that AWS refused. */
  explain(problem: BlockferryError): void {
    const comesOfIt = ({ code, object, cause }: BlockferryError) =>
      code === problem.code && object === problem.object && cause !== undefined;
    this.problems = [...this.problems.filter((other) => !comesOfIt(other)), problem];
  }

  /** @throws the one problem, or PreflightFailed with all of them */
  throwIfAny(): void {
    const [first, ...more] = this.problems;
    if (first === undefined) return;
    if (more.length === 0) throw first;
    throw new BlockferryError({
      code: "PreflightFailed",
      message: [
        `${this.problems.length} problems stand in the way; nothing was made.`,
        ...this.problems.map(({ code, message }) => `- ${code}: ${message}`),
      ].join("\n  "),
      remedy: this.problems.map(({ remedy }) => `- ${remedy}`).join("\n  "),
      object: first.object,
    });
  }
}
