import { BlockferryError } from "../../foundation/blockferry-error.js";
import { NumberSet } from "../../foundation/number-set.js";
import type { LoadedIndex } from "../../repository/load-index.js";
import { packKey } from "../../repository/pack-format.js";
import type { PackToRead } from "./messages.js";
import { causeKey, type LossCause } from "./walk-points.js";

/** Entries of packs that were read, whose chunks were not proven. */
export function lostEntries({ index }: LoadedIndex, selection: PackToRead[], proven: Uint8Array): NumberSet {
  const read = new Set(selection.map(({ packNumber }) => packNumber));
  const lost = NumberSet.below(index.size);
  if (read.size === 0) return lost;
  for (let entry = 0; entry < index.size; entry++) {
    if (proven[entry] === 0 && read.has(index.packNumber(entry))) lost.add(entry);
  }
  return lost;
}

/** Lost chunks in packs without a fault of their own: the index sends readers to the wrong place. */
export function misplacedChunks(
  { index, packs }: LoadedIndex,
  lost: NumberSet,
  problems: BlockferryError[],
): BlockferryError[] {
  const explained = new Set(problems.map(({ object }) => object));
  return [...lost]
    .filter((entry) => !explained.has(packKey(packs.id(index.packNumber(entry)))))
    .map((entry) => {
      const key = packKey(packs.id(index.packNumber(entry)));
      const { id, offset } = index.record(entry);
      return new BlockferryError({
        code: "ChunkMissing",
        message: `The index names ${key} at byte ${offset} for chunk ${id.toString("hex")}, and the pack has no such chunk.`,
        remedy:
          "Run `blockferry-agent repair index`, which lists what the packs themselves say; and report this as a bug.",
        object: key,
        offset,
      });
    });
}

/** With what each lost entry is lost: a chunk that is damaged itself, or all of a pack that could not be read through. */
export function causesOf({ index, packs }: LoadedIndex, lost: NumberSet, problems: BlockferryError[]) {
  const chunkProblems = problems.filter(({ code }) => code === "ChunkCorrupt");
  const damagedChunks = new Set(
    chunkProblems.map(({ object = "", offset }) => causeKey({ object, objectOffset: offset })),
  );
  return (entry: number): LossCause | undefined => {
    if (!lost.has(entry)) return undefined;
    const object = packKey(packs.id(index.packNumber(entry)));
    const cause = { object, objectOffset: index.record(entry).offset };
    return damagedChunks.has(causeKey(cause)) ? cause : { object };
  };
}
