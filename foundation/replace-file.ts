import { randomBytes } from "node:crypto";
import type { HeldPlace } from "./held-place.js";
import { PendingFile } from "./pending-file.js";
import { PRIVATE_FILE_MODE } from "./private-modes.js";

/**
 * Replaces a file as a whole: no reader sees half of it, and the old file stays until the new one is
 * complete.
 * @param newMode applied regardless of the umask; a replaced file of this user passes on its own mode
 */
export async function replaceFile(place: HeldPlace, text: string, newMode: number): Promise<void> {
  const before = await place.status();
  const isOurs = before?.isFile() && before.uid === process.geteuid?.();
  await withTemp(place, before && isOurs ? before.mode & 0o777 : newMode, async (file) => {
    await file.handle.writeFile(text);
    await file.takeName();
  });
}

/** Checks whether `replaceFile` could write there, and leaves nothing behind. @throws the reason if not */
export async function tryReplacing(place: HeldPlace): Promise<void> {
  await withTemp(place, PRIVATE_FILE_MODE, async () => undefined);
}

async function withTemp(
  place: HeldPlace,
  mode: number,
  use: (file: PendingFile) => Promise<void>,
): Promise<void> {
  const file = await PendingFile.create(place, tempName(place), mode);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}

/** Returns a name beside the file that collectors of `*.prom` and similar files skip. */
function tempName({ name }: HeldPlace): string {
  return `${name}.${randomBytes(8).toString("hex")}.tmp`;
}
