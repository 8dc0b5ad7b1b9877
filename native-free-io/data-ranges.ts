import { spawn } from "node:child_process";
import { fstat, fsync } from "node:fs";
import { statfs } from "node:fs/promises";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { bareEnvironment } from "../foundation/shell.js";
import type { BlockSource } from "./block-source.js";

/** A range of bytes in a file or device. */
export interface ByteRange {
  /** Position of the first byte. */
  offset: number;
  /** Number of bytes. */
  length: number;
}

/** Sorts ranges and joins those of them that touch or overlap. */
export function mergeRanges(ranges: ByteRange[]): ByteRange[] {
  const merged: ByteRange[] = [];
  for (const { offset, length } of ranges.toSorted((a, b) => a.offset - b.offset)) {
    const last = merged.at(-1);
    const lastEnd = last === undefined ? -1 : last.offset + last.length;
    if (last !== undefined && offset <= lastEnd)
      last.length = Math.max(lastEnd, offset + length) - last.offset;
    else merged.push({ offset, length });
  }
  return merged;
}

const fstatAsync = promisify(fstat);
const fsyncAsync = promisify(fsync);

/** The unit of block counts in `stat`, independent of the block size of the file system (stat(2)). */
const STAT_BLOCK_BYTES = 512;
/**
 * Smaller files are read completely: a file system may store a small file in its inode and count no block
 * for it.
 */
const SMALLEST_SPARSE_BYTES = 64 * 1024;

/**
 * File systems with correct block counts and `SEEK_DATA`: ext4, XFS, btrfs, tmpfs (statfs(2), f_type). Others
 * may report 0 blocks for a file full of data, as many FUSE file systems do, and neither tar nor blockferry
 * could detect that.
 */
const TRUTHFUL_FILE_SYSTEMS: ReadonlySet<number> = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994]);

const TAR_BLOCK_BYTES = 512;
const TAR_SIZE_FIELD = { start: 124, end: 136 } as const;
const TAR_TYPE_FIELD = 156;

/**
 * Returns the ranges of a sparse file that contain data, in order; everything outside them is a hole. Returns
 * undefined when the ranges are unknown: for a block device, a file without holes, a file system that is not
 * listed above, or a machine without GNU tar. The caller then reads every byte.
 *
 * Node has no `lseek(SEEK_DATA)`, and this project loads no addon. So GNU tar asks the kernel: its POSIX
 * archive (sparse format 0.1) starts with the file's map, and tar is stopped once the map is complete. FIEMAP
 * tools such as filefrag do not work here: they miss data that are still in the page cache. The file is
 * synced first, because btrfs before Linux 5.11 may count no block for data that are not on disk yet (fstests
 * generic/615). Source: GNU tar manual, "Storing Sparse Files, Format 0.1"; lseek(2), SEEK_HOLE.
 */
export async function dataRanges(source: BlockSource): Promise<ByteRange[] | undefined> {
  if (source.kind !== "file" || source.sizeBytes < SMALLEST_SPARSE_BYTES) return undefined;
  if (!(await countsBlocksTruly(source.fd))) return undefined;
  await fsyncAsync(source.fd);
  const allocatedBytes = (await fstatAsync(source.fd)).blocks * STAT_BLOCK_BYTES;
  if (allocatedBytes >= source.sizeBytes) return undefined;
  if (allocatedBytes === 0) return [];
  const header = await readPaxHeader(source.fd);
  return header === undefined ? undefined : parseSparseMap(header, source.sizeBytes);
}

async function countsBlocksTruly(fd: number): Promise<boolean> {
  return TRUTHFUL_FILE_SYSTEMS.has((await statfs(`/proc/self/fd/${fd}`)).type);
}

/**
 * Returns the pax extended header before the file's data, or undefined when tar writes none. tar gets the
 * file as a descriptor. With a path, it would read some characters as escapes, and archive a symbolic link
 * instead of its target.
 */
function readPaxHeader(fd: number): Promise<Buffer | undefined> {
  const tar = spawn(
    "tar",
    [
      ...["--create", "--file=-", "--format=posix", "--sparse", "--sparse-version=0.1"],
      ...["--hole-detection=seek", "--dereference", "--", "/proc/self/fd/3"],
    ],
    { stdio: ["ignore", "pipe", "ignore", fd], env: bareEnvironment() },
  );
  const output = tar.stdout as Readable;
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    let receivedBytes = 0;
    let neededBytes = TAR_BLOCK_BYTES;
    const answer = (header: Buffer | undefined) => {
      tar.kill("SIGKILL");
      resolve(header);
    };
    tar.on("error", () => answer(undefined));
    output.on("end", () => answer(undefined));
    output.on("data", (data: Buffer) => {
      received.push(data);
      receivedBytes += data.length;
      if (receivedBytes < neededBytes) return;
      const archive = Buffer.concat(received);
      if (archive[TAR_TYPE_FIELD] !== "x".charCodeAt(0)) return answer(undefined);
      const size = archive.toString("latin1", TAR_SIZE_FIELD.start, TAR_SIZE_FIELD.end);
      neededBytes = TAR_BLOCK_BYTES + Number.parseInt(size, 8);
      if (receivedBytes >= neededBytes) answer(archive.subarray(TAR_BLOCK_BYTES, neededBytes));
      received.splice(0, received.length, archive);
    });
  });
}

function parseSparseMap(paxHeader: Buffer, sizeBytes: number): ByteRange[] | undefined {
  const records = parsePaxRecords(paxHeader);
  const map = records.get("GNU.sparse.map");
  if (map === undefined || Number(records.get("GNU.sparse.size")) !== sizeBytes) return undefined;
  const numbers = map.split(",").map(Number);
  const ranges: ByteRange[] = [];
  for (let i = 0; i + 1 < numbers.length; i += 2) {
    const range = { offset: numbers[i] as number, length: numbers[i + 1] as number };
    if (range.length > 0) ranges.push(range);
  }
  return ranges;
}

/**
 * Parses records of the form "length key=value\n", where the length counts the whole record (POSIX pax,
 * "Extended Header").
 */
function parsePaxRecords(header: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  let start = 0;
  while (start < header.length) {
    const space = header.indexOf(" ", start);
    const end = start + Number(header.toString("latin1", start, space));
    const equals = header.indexOf("=", space);
    if (space < 0 || equals < 0 || !(end > equals && end <= header.length)) break;
    records.set(header.toString("utf8", space + 1, equals), header.toString("utf8", equals + 1, end - 1));
    start = end;
  }
  return records;
}
