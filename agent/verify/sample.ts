import type { VerifyCursor } from "../read-record.js";

/** Ranks of packs are random numbers below this. */
const ID_SPACE = 2n ** 128n;
const ID_DIGITS = 32;
/** Shares are whole numbers of millionths of a per cent. */
const UNITS_PER_PERCENT = 1_000_000;
const UNITS = 100n * BigInt(UNITS_PER_PERCENT);

export interface Sample<Pack> {
  packs: Pack[];
  /** Where the next sample starts, once these packs have been read. */
  cursor: VerifyCursor;
}

interface SampleOptions {
  cursor: VerifyCursor | undefined;
  startedAt: string;
  rankOf(packId: string): string;
}

/**
 * Returns the next share of the packs.
 * It has the packs in the next `percent` of the rank space after the cursor, and at least `percent` of all
 * packs. Because positions are parts of that space and not counts, ceil(100 / percent) consecutive samples
 * include every pack that existed throughout, whatever packs were added or removed. Within a lap that starts
 * at 0, the packs below the cursor have been read.
 * @param startedAt start of this run, ISO 8601
 * @param rankOf position of a pack in an order that no writer of the repository can predict: 128 bits in hex
 */
export function nextSample<Pack extends { id: string }>(
  packs: Pack[],
  percent: number,
  { cursor, startedAt, rankOf }: SampleOptions,
): Sample<Pack> {
  const from = cursor ?? { next: "0".repeat(ID_DIGITS), lapBeganAt: startedAt, readSince: null };
  const start = position(from.next);
  const ahead = packs
    .map((pack) => ({ pack, distance: (position(rankOf(pack.id)) - start + ID_SPACE) % ID_SPACE }))
    .sort((a, b) => (a.distance < b.distance ? -1 : 1));
  const leastCount = Math.ceil((packs.length * percent) / 100);
  const last = ahead[leastCount - 1];
  const length = smaller(larger(shareOf(percent), (last?.distance ?? 0n) + 1n), ID_SPACE);
  return {
    packs: ahead.filter(({ distance }) => distance < length).map(({ pack }) => pack),
    cursor: moved(from, start + length, { startedAt, isWhole: length === ID_SPACE }),
  };
}

/**
 * Returns the cursor after a sample.
 * @param end where the sample ends; may exceed the id space
 */
function moved(
  from: VerifyCursor,
  end: bigint,
  { startedAt, isWhole }: { startedAt: string; isWhole: boolean },
): VerifyCursor {
  const next = (end % ID_SPACE).toString(16).padStart(ID_DIGITS, "0");
  if (isWhole) return { next, lapBeganAt: startedAt, readSince: startedAt };
  if (end >= ID_SPACE) return { next, lapBeganAt: startedAt, readSince: from.lapBeganAt };
  return { ...from, next };
}

/** Rounds up, so that rounding leaves no gap at the end of a lap. */
function shareOf(percent: number): bigint {
  const units = BigInt(Math.ceil(percent * UNITS_PER_PERCENT));
  return (ID_SPACE * units + UNITS - 1n) / UNITS;
}

function position(rank: string): bigint {
  return BigInt(`0x${rank}`);
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
