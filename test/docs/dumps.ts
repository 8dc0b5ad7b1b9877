import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

/** The text of docs/format.md. */
export const format = await readFile(new URL("../../../docs/format.md", import.meta.url), "utf8");

/** Returns the text of the fenced block with this language tag. */
export function block(tag: string): string {
  const text = new RegExp(`\`\`\`${tag}\n([^\`]*)\n\`\`\``).exec(format)?.[1];
  assert(text !== undefined, `docs/format.md has a block ${tag}`);
  return text;
}

/** Returns the bytes of a hex dump whose lines start with their offset. */
export function dumped(tag: string): Buffer {
  return Buffer.concat(
    block(tag)
      .split("\n")
      .map((line) => Buffer.from(line.slice(6).replaceAll(" ", ""), "hex")),
  );
}
