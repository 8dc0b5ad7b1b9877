import type { NumberSet } from "../../foundation/number-set.js";
import type { LoadedIndex } from "../../repository/load-index.js";
import type { ReadRecord, VerifyCursor } from "../read-record.js";
import type { PackToRead } from "./messages.js";
import { nextSample } from "./sample.js";

export interface Selection {
  packs: PackToRead[];
  /** Where the next sample starts, once these packs are read; undefined to leave it unchanged. */
  cursor: VerifyCursor | undefined;
}

export interface SelectOptions {
  /** Read all packs that this point needs, and no others; undefined for the whole repository. */
  point: string | undefined;
  /** Share of the packs that are read, 0 to 100. */
  readPercent: number;
  /** The read record of this machine: packs it lists as damaged are read again, for any share. */
  record: ReadRecord;
  /** ISO 8601. */
  startedAt: string;
  needed: NumberSet;
}

/**
 * Selects the packs to read.
 * For the whole repository these are the packs that were damaged when last read, and the next share of all.
 * For one point they are the packs it needs, or none at 0 percent. Condemned packs are left out, because
 * `prune` may remove them meanwhile, unless no other pack holds a needed chunk.
 */
export function selectPacks(loaded: LoadedIndex, options: SelectOptions): Selection {
  const { point, readPercent, record } = options;
  const known = point === undefined ? packsWhere(loaded, (id) => record.damaged.has(id)) : [];
  if (readPercent === 0) return { packs: known, cursor: undefined };
  if (point !== undefined) return { packs: packsOfChunks(loaded, options.needed), cursor: undefined };
  const { condemnedPacks } = loaded;
  const all = new Map(packsOfChunks(loaded, options.needed).map((pack) => [pack.id, pack]));
  for (const pack of packsWhere(loaded, (id) => !condemnedPacks.has(id))) all.set(pack.id, pack);
  const { cursor, packs } = nextSample([...all.values()], readPercent, {
    ...{ cursor: record.cursor, startedAt: options.startedAt },
    rankOf: (id) => record.rank(id),
  });
  const chosen = new Set(packs.map(({ id }) => id));
  return { packs: [...known.filter(({ id }) => !chosen.has(id)), ...packs], cursor };
}

function packsWhere(loaded: LoadedIndex, isWanted: (id: string) => boolean): PackToRead[] {
  const packs: PackToRead[] = [];
  for (let number = 0; number < loaded.packs.count; number++) {
    if (isWanted(loaded.packs.id(number))) packs.push(packToRead(loaded, number));
  }
  return packs;
}

function packsOfChunks(loaded: LoadedIndex, chunks: NumberSet): PackToRead[] {
  const { index, packs, condemnedPacks } = loaded;
  const numbers = new Set<number>();
  for (const chunk of chunks) {
    const first = index.packNumber(chunk);
    const isOnlyCondemned = condemnedPacks.has(packs.id(first));
    for (const place of index.places(chunk)) {
      const number = index.packNumber(place);
      if (isOnlyCondemned || !condemnedPacks.has(packs.id(number))) numbers.add(number);
    }
  }
  return [...numbers].map((number) => packToRead(loaded, number));
}

function packToRead({ packs, packBytes }: LoadedIndex, packNumber: number): PackToRead {
  const id = packs.id(packNumber);
  return { id, packNumber, sizeBytes: packBytes.get(id) ?? 0 };
}
