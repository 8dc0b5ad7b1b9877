import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, open, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { systemFiles } from "./system-files.js";

const run = promisify(execFile);
const MIB = 1024 * 1024;

/** The disk is 512 MiB; its files fill most of it. */
const DISK_BYTES = 512 * MIB;
const REAL_FILES_BYTES = 200 * MIB;
/** Minimum size of the copied files, because every file takes a cluster of at least 512 KiB. */
const SMALLEST_FILE_BYTES = 96 * 1024;
const RANDOM_FILE_BYTES = 30 * MIB;
const SPARSE_FILE_BYTES = 60 * MIB;

/**
 * Makes an ext4 disk image of real files.
 * It contains programs and libraries of this system, a second copy of some of them, a file of random bytes
 * and a file with holes. It allocates in clusters of 512 KiB (bigalloc), as file systems of large files do,
 * so that copies of a file are copies of whole blocks.
 */
export async function makeDisk(image: string, workFolder: string): Promise<void> {
  const staging = join(workFolder, "files");
  await mkdir(join(staging, "system"), { recursive: true });
  await mkdir(join(staging, "copies"));
  const copied = await copySystemFiles(join(staging, "system"));
  for (const name of copied.slice(0, Math.ceil(copied.length / 4))) {
    await copyFile(join(staging, "system", name), join(staging, "copies", name));
  }
  await writeFile(join(staging, "random.bin"), randomBytes(RANDOM_FILE_BYTES));
  await writeSparseFile(join(staging, "database.sparse"));
  await truncate(await createFile(image), DISK_BYTES);
  const features = ["-O", "bigalloc", "-C", String(512 * 1024)];
  await run("mke2fs", ["-q", "-F", "-t", "ext4", ...features, "-L", "demo", "-d", staging, image]);
  await rm(staging, { recursive: true });
}

/** Changes a few files in the image, without mounting it. */
export async function changeDisk(image: string, workFolder: string): Promise<void> {
  const note = join(workFolder, "note.txt");
  await writeFile(note, `A new file, written between the two backups. ${randomBytes(8).toString("hex")}\n`);
  const report = join(workFolder, "report.bin");
  await writeFile(report, randomBytes(2 * MIB));
  for (const command of [`write ${note} note.txt`, `write ${report} report.bin`, "rm random.bin"]) {
    await run("debugfs", ["-w", "-R", command, image]);
  }
  await run("e2fsck", ["-f", "-n", image]);
}

async function copySystemFiles(folder: string): Promise<string[]> {
  const copied: string[] = [];
  let bytes = 0;
  for await (const path of filesToCopy()) {
    const { size } = await stat(path);
    if (size < SMALLEST_FILE_BYTES || bytes + size > REAL_FILES_BYTES) continue;
    const name = `${copied.length}-${path.slice(path.lastIndexOf("/") + 1)}`;
    await copyFile(path, join(folder, name));
    copied.push(name);
    bytes += size;
    if (REAL_FILES_BYTES - bytes < MIB) break;
  }
  return copied;
}

async function* filesToCopy(): AsyncGenerator<string> {
  yield process.execPath;
  yield* systemFiles();
}

async function writeSparseFile(path: string): Promise<void> {
  const file = await open(path, "w");
  try {
    await file.truncate(SPARSE_FILE_BYTES);
    await file.write(randomBytes(MIB), 0, MIB, 20 * MIB);
  } finally {
    await file.close();
  }
}

async function createFile(path: string): Promise<string> {
  await writeFile(path, "");
  return path;
}
