import { BlockferryError } from "../../foundation/errors.js";
import { NumberSet } from "../../foundation/number-set.js";
import { packKey } from "../../repository/format/pack.js";
import type { StoredChunks } from "../../repository/index/stored-chunks.js";
import { provesLoss } from "../../repository/storage/read-object.js";
import type { PackToRead } from "./messages.js";
import { causeKey, type LossCause } from "./walk-points.js";

/** Returns the places in the packs read at which no chunk was proven. */
export function badPlaces({ index }: StoredChunks, selection: PackToRead[], proven: Uint8Array): NumberSet {
  const read = new Set(selection.map(({ packNumber }) => packNumber));
  const bad = NumberSet.below(index.size);
  if (read.size === 0) return bad;
  for (let place = 0; place < index.size; place++) {
    if (proven[place] === 0 && read.has(index.packNumber(place))) bad.add(place);
  }
  return bad;
}

interface SearchOptions {
  /** Chunks that recovery points need, by their first entries. */
  needed: NumberSet;
  /** One byte per place, 1 if its chunk was proven. */
  proven: Uint8Array;
}

/**
 * Finds needed chunks that have a bad place and no good one.
 * Places in packs that were not read are read now.
 * @returns a bad place for the first entry of each lost chunk
 */
export async function lostChunks(
  stored: StoredChunks,
  bad: NumberSet,
  { needed, proven }: SearchOptions,
): Promise<Map<number, number>> {
  const { index } = stored;
  const isGood = async (place: number) => {
    if (proven[place] === 1) return true;
    if (bad.has(place)) return false;
    try {
      await stored.readPlace(place);
      return true;
    } catch (error) {
      if (provesLoss(error)) return false;
      throw error;
    }
  };
  const judged = NumberSet.below(index.size);
  const lost = new Map<number, number>();
  for (const badPlace of bad) {
    const chunk = index.find(index.id(badPlace));
    if (judged.has(chunk) || !needed.has(chunk)) continue;
    judged.add(chunk);
    let isLost = true;
    for (let place = chunk; place >= 0 && isLost; place = index.nextPlace(place))
      isLost = !(await isGood(place));
    if (isLost) lost.set(chunk, badPlace);
  }
  return lost;
}

/**
 * Returns one problem per pack with bad places but no fault of its own. The index has a wrong place there.
 */
export function misplacedChunks(
  stored: StoredChunks,
  bad: NumberSet,
  problems: BlockferryError[],
): BlockferryError[] {
  const explained = new Set(problems.map(({ object }) => object));
  const misplaced = new Map<string, { count: number; first: number }>();
  for (const place of bad) {
    const key = packKey(stored.packOf(place));
    if (explained.has(key)) continue;
    const known = misplaced.get(key);
    if (known === undefined) misplaced.set(key, { count: 1, first: place });
    else known.count++;
  }
  return [...misplaced].map(([key, { count, first }]) => {
    const { id, offset } = stored.index.record(first);
    const others = count === 1 ? "" : `, and ${count - 1} more chunks that it does not have there`;
    return new BlockferryError({
      code: "ChunkMissing",
      message: `The index names ${key} at byte ${offset} for chunk ${id.toString("hex")}, but the pack has no such chunk${others}.`,
      remedy:
        "Run `blockferry-agent repair index`, which lists the chunks that the packs hold. No version of blockferry writes such an index: find out who did.",
      object: key,
      offset,
    });
  });
}

/**
 * Returns the cause of each loss: the damaged place of the chunk, or the whole pack if it could not be read
 * through.
 */
export function causesOf(stored: StoredChunks, lost: Map<number, number>, problems: BlockferryError[]) {
  const chunkProblems = problems.filter(({ code }) => code === "ChunkCorrupt");
  const damagedChunks = new Set(
    chunkProblems.map(({ object = "", offset }) => causeKey({ object, objectOffset: offset })),
  );
  return (entry: number): LossCause | undefined => {
    const place = lost.get(entry);
    if (place === undefined) return undefined;
    const object = packKey(stored.packOf(place));
    const cause = { object, objectOffset: stored.index.record(place).offset };
    return damagedChunks.has(causeKey(cause)) ? cause : { object };
  };
}
