import * as z from "zod/mini";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { readSealedIfThere } from "./read-sealed.js";
import { sealJson } from "./sealed-json.js";
import type { Storage } from "./storage/storage.js";

const KEY = "verify/cursor.json";

const CursorSchema = z.strictObject({
  version: z.literal(1),
  /** A pack id: those from here on are read next. */
  next: z.string().check(z.regex(/^[0-9a-f]{32}$/)),
  /** Packs below `next` that are older than this have been read since. */
  lapBeganAt: z.iso.datetime(),
  /** All packs that are older than this have been read since; null before the first lap is over. */
  readSince: z.nullable(z.iso.datetime()),
});

/** How far verification by samples has come, in the order of pack ids. */
export type VerifyCursor = Omit<z.infer<typeof CursorSchema>, "version">;

/** @returns undefined when there is none, or none that can be used: then the samples begin again, and nothing is lost */
export async function readVerifyCursor(storage: Storage): Promise<VerifyCursor | undefined> {
  try {
    return await readSealedIfThere(storage, KEY, CursorSchema);
  } catch (error) {
    if (error instanceof BlockferryError && UNUSABLE.has(error.code)) return undefined;
    throw error;
  }
}

const UNUSABLE = new Set<BlockferryError["code"]>(["ObjectCorrupt", "RepositoryUnsupported"]);

export function writeVerifyCursor(
  storage: Storage,
  { next, lapBeganAt, readSince }: VerifyCursor,
): Promise<void> {
  return storage.put(KEY, sealJson({ version: 1, next, lapBeganAt, readSince }));
}
