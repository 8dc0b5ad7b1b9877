import { open } from "node:fs/promises";

/** Makes the names in a folder durable. Only then does a rename survive a power failure (fsync(2), NOTES). */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
