import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** Folders with files of all kinds on a Linux system: libraries, programs, data. */
const SYSTEM_FOLDERS = ["/usr/lib", "/usr/share", "/usr/bin", "/usr/local"];

/**
 * Yields paths of this system's own regular files in a stable order.
 * Folders that cannot be read are skipped.
 */
export async function* systemFiles(): AsyncGenerator<string> {
  const folders = [...SYSTEM_FOLDERS];
  for (let folder = folders.shift(); folder !== undefined; folder = folders.shift()) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) folders.push(path);
      else if (entry.isFile()) yield path;
    }
  }
}
