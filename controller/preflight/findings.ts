import { BlockferryError } from "../../foundation/blockferry-error.js";

/** Everything that stands in the way, and not only the first of it. */
export class Findings {
  readonly problems: BlockferryError[] = [];
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
