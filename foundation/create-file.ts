import { type FileHandle, open } from "node:fs/promises";

/**
 * Makes a file, to be appended to, with this mode whatever the umask.
 * @throws EEXIST where there is one, and what `open` throws besides
 */
export async function createFile(path: string, mode: number): Promise<FileHandle> {
  const file = await open(path, "ax", mode);
  try {
    // Only what the umask took away: file systems without modes refuse every change.
    if ((mode & ~(await file.stat()).mode) !== 0) await file.chmod(mode);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
