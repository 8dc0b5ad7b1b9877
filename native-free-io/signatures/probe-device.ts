import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { allocateAligned } from "../aligned-memory.js";
import { DIRECT_ALIGNMENT_BYTES } from "../block-source.js";
import { formatGuid, formatUuid, textOf } from "./ids.js";
import { MAGIC_STRINGS, type MagicString } from "./magic-strings.js";

/** Evidence of data on a device: a file system, a partition table, a RAID member or the like. */
export interface Signature {
  /** The name that libblkid uses: `ext4`, `LVM2_member`, `gpt`. */
  type: string;
  /** Offset of the magic bytes from the start of the device. */
  offset: number;
  label?: string | undefined;
  uuid?: string | undefined;
}

const KIB = 1024;
const MIB = 1024 * KIB;
/** The last copy of a LUKS2 header starts at 4 MiB. */
const HEAD_BYTES = 4 * MIB + 64 * KIB;
/** ZFS labels take the last 512 KiB; md superblocks and the backup GPT take less. */
const TAIL_BYTES = MIB;
const SECTOR_SIZES = [512, 4096];
const MD_MAGICS = ["\xfc\x4e\x2b\xa9", "\xa9\x2b\x4e\xfc"];
const ZFS_LABEL_BYTES = 256 * KIB;
const UBERBLOCK_MAGICS = ["\x0c\xb1\xba\0\0\0\0\0", "\0\0\0\0\0\xba\xb1\x0c"];

/**
 * Looks for common signatures at both ends of a device. Needs no external tools.
 * @returns at most one for each place, ordered by kind
 * @throws a system error when the device cannot be read
 */
export async function probeDevice(fd: number, sizeBytes: number): Promise<Signature[]> {
  const ends = await DeviceEnds.read(fd, sizeBytes);
  return [
    ...MAGIC_STRINGS.flatMap((magic) => magicString(ends, magic)),
    ...extended(ends),
    ...lvm(ends),
    ...raid(ends),
    ...zfs(ends),
    ...gpt(ends),
    ...mbr(ends),
  ];
}

/** The first and the last bytes of a device. */
class DeviceEnds {
  private constructor(
    readonly sizeBytes: number,
    private readonly areas: { offset: number; bytes: Buffer }[],
  ) {}

  /** Reads both ends. Bypasses the page cache, which may still have older data. */
  static async read(fd: number, sizeBytes: number): Promise<DeviceEnds> {
    const handle = await open(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_DIRECT);
    try {
      const headBytes = Math.min(sizeBytes, HEAD_BYTES);
      const tail = Math.max(0, sizeBytes - TAIL_BYTES);
      const tailStart = tail - (tail % DIRECT_ALIGNMENT_BYTES);
      return new DeviceEnds(sizeBytes, [
        { offset: 0, bytes: await readArea(handle, 0, headBytes) },
        { offset: tailStart, bytes: await readArea(handle, tailStart, sizeBytes - tailStart) },
      ]);
    } finally {
      await handle.close();
    }
  }

  /** Returns bytes of the device; empty when the range is not at either end. */
  at(offset: number, length: number): Buffer {
    for (const { offset: start, bytes } of this.areas) {
      const from = offset - start;
      if (from >= 0 && from + length <= bytes.length) return bytes.subarray(from, from + length);
    }
    return Buffer.alloc(0);
  }

  holds(offset: number, magics: readonly string[]): boolean {
    return magics.some((magic) => this.at(offset, magic.length).toString("latin1") === magic);
  }
}

async function readArea(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = allocateAligned(Math.ceil(length / DIRECT_ALIGNMENT_BYTES) * DIRECT_ALIGNMENT_BYTES);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(buffer, done, length - done, offset + done);
    if (bytesRead === 0) throw new Error(`only ${done} of ${length} bytes could be read at byte ${offset}`);
    done += bytesRead;
  }
  return buffer.subarray(0, length);
}

function magicString(ends: DeviceEnds, { type, at, magic, label, uuid, uuidText }: MagicString): Signature[] {
  if (!ends.holds(at, magic)) return [];
  return [
    {
      ...{ type, offset: at },
      label: label && textOf(ends.at(label.at, label.length)),
      uuid:
        (uuid && formatUuid(ends.at(uuid, 16))) ||
        (uuidText && textOf(ends.at(uuidText.at, uuidText.length))),
    },
  ];
}

/** Finds ext2, ext3 and ext4. Their two magic bytes alone also occur by chance in random data. */
function extended(ends: DeviceEnds): Signature[] {
  const superblock = ends.at(KIB, KIB);
  if (superblock.length === 0 || superblock.readUInt16LE(56) !== 0xef53) return [];
  const [logBlockBytes, revision] = [superblock.readUInt32LE(24), superblock.readUInt32LE(76)];
  if (logBlockBytes > 6 || revision > 1) return [];
  const hasJournal = (superblock.readUInt32LE(92) & 0x4) !== 0;
  const hasExtents = (superblock.readUInt32LE(96) & 0x40) !== 0;
  return [
    {
      ...{ type: hasExtents ? "ext4" : hasJournal ? "ext3" : "ext2", offset: KIB + 56 },
      uuid: formatUuid(superblock.subarray(104, 120)),
      label: textOf(superblock.subarray(120, 136)),
    },
  ];
}

/** Finds an LVM physical volume: its label is in one of the first four sectors (lvm2, lib/label/label.h). */
function lvm(ends: DeviceEnds): Signature[] {
  return [0, 512, 1024, 1536]
    .filter((offset) => ends.holds(offset, ["LABELONE"]) && ends.holds(offset + 24, ["LVM2 001"]))
    .map((offset) => ({ type: "LVM2_member", offset: offset + 24, uuid: textOf(ends.at(offset + 32, 32)) }));
}

/**
 * Finds an md device: its superblock is at one of four places, depending on the version (Linux kernel,
 * drivers/md/md.c).
 */
function raid(ends: DeviceEnds): Signature[] {
  const old = ends.sizeBytes - (ends.sizeBytes % (64 * KIB)) - 64 * KIB;
  const end = ends.sizeBytes - 8 * KIB;
  const places = [end - (end % (4 * KIB)), 0, 4 * KIB];
  const found: Signature[] = places
    .filter((offset) => ends.holds(offset, MD_MAGICS) && ends.at(offset + 4, 4).readUInt32LE() === 1)
    .map((offset) => ({
      ...{ type: "linux_raid_member", offset },
      uuid: formatUuid(ends.at(offset + 16, 16)),
      label: textOf(ends.at(offset + 32, 32)),
    }));
  if (ends.holds(old, MD_MAGICS)) found.push({ type: "linux_raid_member", offset: old });
  return found;
}

/**
 * Finds ZFS: two labels at each end, with uberblocks in their second half (ZFS On-Disk Specification,
 * chapter 1).
 */
function zfs(ends: DeviceEnds): Signature[] {
  const end = ends.sizeBytes - (ends.sizeBytes % ZFS_LABEL_BYTES);
  for (const label of [0, ZFS_LABEL_BYTES, end - 2 * ZFS_LABEL_BYTES, end - ZFS_LABEL_BYTES]) {
    for (let offset = label + ZFS_LABEL_BYTES / 2; offset < label + ZFS_LABEL_BYTES; offset += KIB) {
      if (ends.holds(offset, UBERBLOCK_MAGICS)) return [{ type: "zfs_member", offset }];
    }
  }
  return [];
}

/** Finds a GPT at the start, and its copy in the last sector (UEFI Specification, 5.3.2). */
function gpt(ends: DeviceEnds): Signature[] {
  return SECTOR_SIZES.flatMap((sectorBytes) => [sectorBytes, ends.sizeBytes - sectorBytes])
    .filter((offset) => ends.holds(offset, ["EFI PART"]))
    .map((offset) => ({ type: "gpt", offset, uuid: formatGuid(ends.at(offset + 56, 16)) }));
}

/**
 * Finds an MBR. DOS and Windows file systems end their first sector in the same way, but without a partition
 * table in it.
 */
function mbr(ends: DeviceEnds): Signature[] {
  if (!ends.holds(510, ["\x55\xaa"])) return [];
  const entries = [446, 462, 478, 494].map((offset) => ends.at(offset, 16));
  const isTable = entries.every((entry) => entry[0] === 0 || entry[0] === 0x80);
  const isUsed = entries.some((entry) => entry[4] !== 0 && entry.readUInt32LE(12) > 0);
  if (!isTable || !isUsed) return [];
  return [{ type: "dos", offset: 510, uuid: ends.at(440, 4).readUInt32LE().toString(16).padStart(8, "0") }];
}
