import type { ErrorCode } from "../foundation/blockferry-error.js";

/** Exit codes of the programs; documented in README.md and docs/reference/commands.md. */
export const EXIT = { ok: 0, failed: 1, usage: 2, dataDamaged: 3, interrupted: 130 } as const;

const DAMAGE: ReadonlySet<ErrorCode> = new Set([
  "ObjectCorrupt",
  "PackCorrupt",
  "ChunkCorrupt",
  "ChunkMissing",
  "PackMissing",
  "IndexMissing",
  "IndexFalse",
  "PointRemoved",
  "PointReplaced",
  "PointReturned",
]);

export function exitCodeOf({ code }: { code: ErrorCode }): number {
  if (code === "Usage") return EXIT.usage;
  if (code === "Interrupted") return EXIT.interrupted;
  return DAMAGE.has(code) ? EXIT.dataDamaged : EXIT.failed;
}
