import type { VerifyCursor } from "../../repository/verify-cursor.js";

/** Pack ids are random numbers below this. */
const ID_SPACE = 2n ** 128n;
const ID_DIGITS = 32;
/** Shares are whole numbers of millionths of a per cent. */
const UNITS_PER_PERCENT = 1_000_000;
const UNITS = 100n * BigInt(UNITS_PER_PERCENT);

export interface Sample<Pack> {
  packs: Pack[];
  /** Where the next sample begins, once these packs have been read. */
  cursor: VerifyCursor;
}

/**
 * The next share of the packs: those in so many per cent of the id space from the cursor on, and at least so many per cent of all packs.
 * Positions are parts of the id space, and not counts, so ceil(100 / percent) samples after each other have every pack that was there all the while,
 * whichever came and went. Within a lap that begins at 0, the packs below the cursor have been read.
 * @param startedAt of this run, ISO 8601
 */
export function nextSample<Pack extends { id: string }>(
  packs: Pack[],
  percent: number,
  { cursor, startedAt }: { cursor: VerifyCursor | undefined; startedAt: string },
): Sample<Pack> {
  const from = cursor ?? { next: "0".repeat(ID_DIGITS), lapBeganAt: startedAt, readSince: null };
  const start = position(from.next);
  const ahead = packs
    .map((pack) => ({ pack, distance: (position(pack.id) - start + ID_SPACE) % ID_SPACE }))
    .sort((a, b) => (a.distance < b.distance ? -1 : 1));
  const leastCount = Math.ceil((packs.length * percent) / 100);
  const last = ahead[leastCount - 1];
  const length = smaller(larger(shareOf(percent), (last?.distance ?? 0n) + 1n), ID_SPACE);
  return {
    packs: ahead.filter(({ distance }) => distance < length).map(({ pack }) => pack),
    cursor: moved(from, start + length, { startedAt, isWhole: length === ID_SPACE }),
  };
}

/** @param end where the sample ends, counted on beyond the id space */
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

/** Rounded up, so that rounding leaves no gap at the end of a lap. */
function shareOf(percent: number): bigint {
  const units = BigInt(Math.ceil(percent * UNITS_PER_PERCENT));
  return (ID_SPACE * units + UNITS - 1n) / UNITS;
}

function position(id: string): bigint {
  return BigInt(`0x${id}`);
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
