import type { NumberSet } from "../../foundation/number-set.js";
import type { LoadedIndex } from "../../repository/load-index.js";
import type { VerifyCursor } from "../../repository/verify-cursor.js";
import type { PackToRead } from "./messages.js";
import { nextSample } from "./sample.js";

export interface Selection {
  packs: PackToRead[];
  /** Where the next sample begins, once these are read; undefined when that is not to change. */
  cursor: VerifyCursor | undefined;
}

export interface SelectOptions {
  /** Only the packs that this point needs are read, all of them; undefined for those of the whole repository. */
  point: string | undefined;
  /** Share of the packs that are read, 0 to 100. */
  readPercent: number;
  /** Where the last sample ended. */
  cursor: VerifyCursor | undefined;
  /** ISO 8601. */
  startedAt: string;
  needed: NumberSet;
}

/** The packs to read: none, those that one point needs, or the next share of all. Condemned ones that no point needs are left out. */
export function selectPacks(loaded: LoadedIndex, options: SelectOptions): Selection {
  const { point, readPercent, needed } = options;
  if (readPercent === 0) return { packs: [], cursor: undefined };
  const numbers = new Set<number>();
  if (point === undefined) {
    for (let number = 0; number < loaded.packs.count; number++) {
      if (!loaded.condemnedPacks.has(loaded.packs.id(number))) numbers.add(number);
    }
  }
  for (const entry of needed) numbers.add(loaded.index.packNumber(entry));
  const packs = [...numbers].map((packNumber) => {
    const id = loaded.packs.id(packNumber);
    return { id, packNumber, sizeBytes: loaded.packBytes.get(id) ?? 0 };
  });
  return point === undefined ? nextSample(packs, readPercent, options) : { packs, cursor: undefined };
}
