/** The most that objects may be: whoever reads one as a whole makes room for it before anything in it is proven. */
interface ObjectBounds {
  /** Of the object as it is stored. */
  maxBytes: number;
  /** Of a JSON document, counted by what stands before values: `{`, `[` and `,`. In memory each takes far more than its text. */
  maxValues: number;
}

const MIB = 2 ** 20;

/** What prune lists at once: 320 TiB of packs, and room for a volume of 256 TiB of which nothing is needed any more. */
const MAX_LISTED_PACKS = 5 * 2 ** 20;

/** By key, the first that fits. docs/format.md tells what is the most that is written. */
const BOUNDS: readonly { keys: RegExp; bounds: ObjectBounds }[] = [
  // Packs are read by ranges, whose lengths are bounded before.
  { keys: /^(index|packs)\//, bounds: { maxBytes: 128 * MIB, maxValues: 0 } },
  { keys: /^points\//, bounds: { maxBytes: 16 * MIB, maxValues: 2 ** 19 } },
  { keys: /^jobs\/[^/]+\/(job|journal[^/]*)\.json$/, bounds: { maxBytes: 16 * MIB, maxValues: 2 ** 19 } },
  // 128 volumes in 1,024 cells of five numbers each, and 128 volumes and 256 tags with the longest names.
  { keys: /^jobs\/[^/]+\/figures\.json$/, bounds: { maxBytes: 8 * MIB, maxValues: 2 ** 20 } },
  { keys: /^prune\/[0-9a-f]{16}\.json$/, bounds: { maxBytes: 176 * MIB, maxValues: MAX_LISTED_PACKS } },
  { keys: /^prune\/noticed\.json$/, bounds: { maxBytes: 312 * MIB, maxValues: MAX_LISTED_PACKS } },
  { keys: /^/, bounds: { maxBytes: MIB, maxValues: 2 ** 19 } },
];

/** The most bytes that an object of this key can have: a larger one is none of blockferry's. */
export function maxObjectBytes(key: string): number {
  return boundsOf(key).maxBytes;
}

/** The most values that a JSON document of this key can hold. */
export function maxJsonValues(key: string): number {
  return boundsOf(key).maxValues;
}

function boundsOf(key: string): ObjectBounds {
  return (BOUNDS.find(({ keys }) => keys.test(key)) as { bounds: ObjectBounds }).bounds;
}
