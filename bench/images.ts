import { execFile } from "node:child_process";
import { createCipheriv, createHash } from "node:crypto";
import { copyFile, link, mkdir, open, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { systemFiles } from "../demo/system-files.js";

const run = promisify(execFile);
const MIB = 1024 * 1024;
/** Share of the ext4 image that its files fill. */
const FILL = 0.85;

/** Makes an image once. Its name includes its size, and an image with its final name is complete. */
async function once(path: string, make: (partial: string) => Promise<void>): Promise<string> {
  if ((await stat(path).catch(() => undefined)) === undefined) {
    process.stdout.write(`making ${path}\n`);
    const partial = `${path}.partial`;
    await rm(partial, { force: true });
    await make(partial);
    await rename(partial, path);
  }
  return path;
}

/** Makes an ext4 image of this system's own files, filled to at most 85%. */
export function ext4Image(folder: string, sizeBytes: number): Promise<string> {
  return once(join(folder, `ext4-${sizeBytes / MIB}m.img`), async (path) => {
    const staging = join(folder, "staging");
    await rm(staging, { recursive: true, force: true });
    await stageSystemFiles(staging, sizeBytes * FILL);
    await writeFile(path, "");
    await truncate(path, sizeBytes);
    await run("mke2fs", ["-q", "-F", "-t", "ext4", "-d", staging, path]);
    await rm(staging, { recursive: true });
  });
}

/** Makes an image of random bytes from a fixed seed, which neither deduplicate nor compress. */
export function incompressibleImage(folder: string, sizeBytes: number): Promise<string> {
  return once(join(folder, `random-${sizeBytes / MIB}m.img`), async (path) => {
    const random = seededRandom("incompressible");
    const file = await open(path, "w");
    for (let offset = 0; offset < sizeBytes; offset += MIB) await file.write(random(MIB));
    await file.close();
  });
}

/** Makes a large file with 1 MiB of random data in every 2 GiB, and holes between. */
export function sparseImage(folder: string, sizeBytes: number): Promise<string> {
  return once(join(folder, `sparse-${sizeBytes / MIB}m.img`), async (path) => {
    const random = seededRandom("sparse");
    const file = await open(path, "w");
    await file.truncate(sizeBytes);
    for (let offset = 0; offset < sizeBytes; offset += 2048 * MIB)
      await file.write(random(MIB), 0, MIB, offset);
    await file.close();
  });
}

async function stageSystemFiles(staging: string, limitBytes: number): Promise<void> {
  let bytes = 0;
  for await (const path of systemFiles()) {
    const { size } = await stat(path);
    if (bytes + size > limitBytes) continue;
    const target = join(staging, path);
    await mkdir(dirname(target), { recursive: true });
    await link(path, target).catch(() => copyFile(path, target));
    bytes += size;
  }
}

function seededRandom(seed: string): (length: number) => Buffer {
  const cipher = createCipheriv("aes-256-ctr", createHash("sha256").update(seed).digest(), Buffer.alloc(16));
  return (length) => cipher.update(Buffer.alloc(length));
}
