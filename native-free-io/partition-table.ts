import { crc32 } from "node:zlib";
import { DIRECT_ALIGNMENT_BYTES } from "./block-source.js";
import { probeDevice, readUncached } from "./signatures/probe-device.js";

/** Sizes of the logical sectors of disks. */
const SECTOR_SIZES = [512, 4096];
/** The entries of a GPT follow its header; other places are allowed, but no tool uses them. */
const HEAD_BYTES = 1024 * 1024;

/** A partition; offset and size in bytes. */
export interface Partition {
  number: number;
  offset: number;
  sizeBytes: number;
}

/** A partition table as it is on the disk. */
export interface PartitionTable {
  kind: "gpt" | "mbr";
  /** The sector that the table counts in; undefined if its bytes do not show the size. */
  sectorBytes: number | undefined;
  /** End of the last part of the table: the backup of a GPT, or the first sector. In bytes. */
  endBytes: number;
  /** The partitions, without an extended partition and those inside it. Undefined if they are unknown. */
  partitions: Partition[] | undefined;
  hasExtended: boolean;
}

/**
 * Reads the partition table of a disk.
 * @param volumeBytes size of the volume that was restored: its table names nothing after it
 * @param sectorBytes logical sector size of the device
 * @returns undefined if there is none
 * @throws a system error when the device cannot be read
 */
export async function readPartitionTable(
  fd: number,
  volumeBytes: number,
  sectorBytes: number,
): Promise<PartitionTable | undefined> {
  const head = await readUncached(fd, 0, Math.min(volumeBytes, HEAD_BYTES));
  const entries = mbrEntries(head);
  if (entries === undefined) return undefined;
  if (!entries.some(({ type }) => type === PROTECTIVE)) return mbrOf(fd, entries, volumeBytes, sectorBytes);
  const tables = SECTOR_SIZES.flatMap((size) => gptOf(head, size) ?? []);
  return tables.find((table) => table.sectorBytes === sectorBytes) ?? tables[0];
}

/** Type of the one MBR partition of a disk with a GPT (UEFI Specification, 5.2.3). */
const PROTECTIVE = 0xee;
/** Types of extended partitions. The kernel shows only their first sectors. */
const EXTENDED = [0x05, 0x0f, 0x85];

/** An entry of an MBR. Start and size are in sectors of unknown size. */
interface MbrEntry {
  number: number;
  type: number;
  start: number;
  sectors: number;
}

/** Returns the used entries; undefined without a table. File systems also end their first sector in 55 AA. */
function mbrEntries(head: Buffer): MbrEntry[] | undefined {
  if (head.length < 512 || head.readUInt16LE(510) !== 0xaa55) return undefined;
  const places = [446, 462, 478, 494];
  if (places.some((at) => head[at] !== 0 && head[at] !== 0x80)) return undefined;
  const entries = places.map((at, place) => ({
    ...{ number: place + 1, type: head[at + 4] as number },
    ...{ start: head.readUInt32LE(at + 8), sectors: head.readUInt32LE(at + 12) },
  }));
  const used = entries.filter(({ sectors }) => sectors > 0);
  return used.some(({ type }) => type !== 0) ? used : undefined;
}

async function mbrOf(
  fd: number,
  entries: MbrEntry[],
  volumeBytes: number,
  deviceSectorBytes: number,
): Promise<PartitionTable> {
  const sectorBytes = await mbrSectorBytes(fd, entries, volumeBytes);
  const unit = sectorBytes ?? deviceSectorBytes;
  const plain = entries.filter(({ type }) => !EXTENDED.includes(type));
  const partitions = plain.map(({ number, start, sectors }) => ({
    number,
    offset: start * unit,
    sizeBytes: sectors * unit,
  }));
  return {
    ...{ kind: "mbr", sectorBytes, endBytes: 512, partitions },
    hasExtended: plain.length < entries.length,
  };
}

/**
 * Finds out the sector size that an MBR counts in. The table does not contain it: with the right size, all
 * partitions are inside the volume, and file systems start where partitions start.
 */
async function mbrSectorBytes(
  fd: number,
  entries: MbrEntry[],
  volumeBytes: number,
): Promise<number | undefined> {
  const end = Math.max(...entries.map(({ start, sectors }) => start + sectors));
  const sizes = SECTOR_SIZES.filter((size) => end * size <= volumeBytes);
  if (sizes.length < 2) return sizes[0];
  const filled: number[] = [];
  for (const size of sizes) if (await holdSignatures(fd, entries, size)) filled.push(size);
  return filled.length === 1 ? filled[0] : undefined;
}

async function holdSignatures(fd: number, entries: MbrEntry[], sectorBytes: number): Promise<boolean> {
  for (const { start, sectors } of entries) {
    const offset = start * sectorBytes;
    if (offset % DIRECT_ALIGNMENT_BYTES !== 0) continue;
    if ((await probeDevice(fd, sectors * sectorBytes, offset)).length > 0) return true;
  }
  return false;
}

/** Smallest size of a header of a GPT. */
const GPT_HEADER_BYTES = 92;

/** Parses a GPT whose header is in the second sector (UEFI Specification, 5.3). */
function gptOf(head: Buffer, sectorBytes: number): PartitionTable | undefined {
  const header = head.subarray(sectorBytes, 2 * sectorBytes);
  if (header.length < sectorBytes || header.toString("latin1", 0, 8) !== "EFI PART") return undefined;
  const headerBytes = header.readUInt32LE(12);
  if (headerBytes < GPT_HEADER_BYTES || headerBytes > sectorBytes) return undefined;
  const summed = Buffer.from(header.subarray(0, headerBytes));
  summed.fill(0, 16, 20);
  if (crc32(summed) !== header.readUInt32LE(16) || header.readBigUInt64LE(24) !== 1n) return undefined;
  const backup = Number(header.readBigUInt64LE(32));
  return {
    ...{ kind: "gpt", sectorBytes, endBytes: (backup + 1) * sectorBytes },
    partitions: gptPartitions(head, header, sectorBytes),
    hasExtended: false,
  };
}

/** Returns the partitions; undefined if the entries are outside the head of the disk. */
function gptPartitions(head: Buffer, header: Buffer, sectorBytes: number): Partition[] | undefined {
  const start = Number(header.readBigUInt64LE(72)) * sectorBytes;
  const [count, entryBytes] = [header.readUInt32LE(80), header.readUInt32LE(84)];
  if (entryBytes < 128 || start + count * entryBytes > head.length) return undefined;
  const partitions: Partition[] = [];
  for (let place = 0; place < count; place++) {
    const entry = head.subarray(start + place * entryBytes, start + (place + 1) * entryBytes);
    if (entry.subarray(0, 16).every((byte) => byte === 0)) continue;
    const [first, last] = [Number(entry.readBigUInt64LE(32)), Number(entry.readBigUInt64LE(40))];
    partitions.push({
      ...{ number: place + 1, offset: first * sectorBytes },
      sizeBytes: (last - first + 1) * sectorBytes,
    });
  }
  return partitions;
}
