/**
 * Upper bounds for objects: a reader of a whole object allocates memory for it before anything
 * in it is proven.
 */
interface ObjectBounds {
  /** Size of the stored object. */
  maxBytes: number;
  /**
   * Values of a JSON document, counted by the characters before values: `{`, `[` and `,`. In memory a value
   * takes far more than its text.
   */
  maxValues: number;
}

const MIB = 2 ** 20;

/** Limit for all volumes of a point together. */
export const MAX_BAD_RANGES = 2 ** 17;

/** The most packs that prune lists at once: 320 TiB, enough for an unneeded volume of 256 TiB. */
const MAX_LISTED_PACKS = 5 * 2 ** 20;

/** Bounds by key; the first match counts. docs/format.md lists the most that is written. */
const BOUNDS: readonly { keys: RegExp; bounds: ObjectBounds }[] = [
  // Packs are read in ranges, whose lengths are checked before.
  { keys: /^(index|packs)\//, bounds: { maxBytes: 128 * MIB, maxValues: 0 } },
  { keys: /^points\//, bounds: { maxBytes: 16 * MIB, maxValues: 2 ** 19 } },
  { keys: /^jobs\/[^/]+\/(job|journal[^/]*)\.json$/, bounds: { maxBytes: 16 * MIB, maxValues: 2 ** 19 } },
  // 128 volumes in 1,024 cells of five numbers each, and 128 volumes and 256 tags with the longest names.
  { keys: /^jobs\/[^/]+\/figures\.json$/, bounds: { maxBytes: 8 * MIB, maxValues: 2 ** 20 } },
  { keys: /^prune\/[0-9a-f]{16}\.json$/, bounds: { maxBytes: 176 * MIB, maxValues: MAX_LISTED_PACKS } },
  { keys: /^prune\/noticed\.json$/, bounds: { maxBytes: 312 * MIB, maxValues: MAX_LISTED_PACKS } },
  { keys: /^/, bounds: { maxBytes: MIB, maxValues: 2 ** 19 } },
];

/** Returns the most bytes of an object with this key: a larger object is not from blockferry. */
export function maxObjectBytes(key: string): number {
  return boundsOf(key).maxBytes;
}

/** Returns the most values in a JSON document with this key. */
export function maxJsonValues(key: string): number {
  return boundsOf(key).maxValues;
}

function boundsOf(key: string): ObjectBounds {
  return (BOUNDS.find(({ keys }) => keys.test(key)) as { bounds: ObjectBounds }).bounds;
}

/** Remedies for a damaged object, by its key. */
const REMEDIES: readonly { keys: RegExp; remedy: string }[] = [
  {
    keys: /^index\//,
    remedy:
      "Nothing is lost: every pack lists its own chunks. Run `blockferry-agent repair index`, which replaces it.",
  },
  {
    keys: /^(locks|prune)\//,
    remedy:
      "No recovery point needs it. Run `blockferry-agent repair documents`, which moves it aside; until then `prune` keeps everything that it could protect.",
  },
  {
    keys: /^points\//,
    remedy:
      "Restore it from a replica or an earlier version in the bucket. If there is none, `blockferry-agent repair documents` moves it aside; until then `prune` removes nothing.",
  },
  {
    keys: /^keys\//,
    remedy:
      "Restore it from a replica or an earlier version in the bucket, or use another key and remove this one: blockferry-agent key remove",
  },
  {
    keys: /^/,
    remedy: "Restore the object from a replica or an earlier version in the bucket, if there is one.",
  },
];

/** Returns what to do about a damaged object. */
export function damagedRemedy(key: string): string {
  return (REMEDIES.find(({ keys }) => keys.test(key)) as { remedy: string }).remedy;
}
