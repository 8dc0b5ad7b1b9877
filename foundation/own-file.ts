import { open } from "node:fs/promises";
import { statIfThere } from "./stat-if-there.js";

/** A kind of file that this program writes, and writes to again. */
export interface OwnFile {
  /** As in "the file that is there holds no web page". */
  what: string;
  /** How each of them begins, in its first 64 bytes. */
  beginning: RegExp;
}

const BEGINNING_BYTES = 64;

/**
 * Why what is there must not be written to: a name that was mistyped may be that of a disk image or a device. Nothing but a
 * regular file is opened.
 * @returns undefined where nothing is, an empty file, or a file of this kind
 */
export async function whyForeign(path: string, kind: OwnFile): Promise<string | undefined> {
  const found = await statIfThere(path);
  if (found === undefined) return undefined;
  if (!found.isFile()) return "what is there is no regular file";
  if (found.size === 0 || kind.beginning.test(await beginningOf(path))) return undefined;
  return `the file that is there holds no ${kind.what}`;
}

async function beginningOf(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BEGINNING_BYTES), 0, BEGINNING_BYTES, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } finally {
    await file.close();
  }
}
