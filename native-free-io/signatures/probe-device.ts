import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { allocateAligned, DIRECT_ALIGNMENT_BYTES } from "../block-source.js";

/** Returns a text from a fixed-length field, without its padding; undefined when it is empty. */
function textOf(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(0);
  const text = bytes.toString("utf8", 0, end < 0 ? bytes.length : end).trim();
  return text === "" ? undefined : text;
}

/** Formats an id in the order of its bytes, grouped as in RFC 9562; undefined when all bytes are zero. */
function formatUuid(bytes: Buffer): string | undefined {
  const hex = bytes.toString("hex");
  if (/^0*$/.test(hex)) return undefined;
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Formats an id whose first three groups are little-endian (UEFI Specification, appendix A). */
function formatGuid(bytes: Buffer): string | undefined {
  if (bytes.length < 16) return undefined;
  const ordered = Buffer.from(bytes);
  ordered.subarray(0, 4).reverse();
  ordered.subarray(4, 6).reverse();
  ordered.subarray(6, 8).reverse();
  return formatUuid(ordered);
}

/** Position of a label or an id, in bytes from the start of the device. */
interface Place {
  at: number;
  length: number;
}

/** A signature with a single position. Types have the names that libblkid uses. */
interface MagicString {
  type: string;
  at: number;
  /** Alternatives, in Latin-1. */
  magic: readonly string[];
  label?: Place;
  /** Offset of an id of 16 bytes, in the order in which they are written. */
  uuid?: number;
  /** Position of an id that is stored as text. */
  uuidText?: Place;
}

const KIB = 1024;
const SWAP_MAGIC = ["SWAPSPACE2", "SWAP-SPACE", "S1SUSPEND\0", "S2SUSPEND\0", "ULSUSPEND\0", "LINHIB0001"];
const LUKS2_COPIES_KIB = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
const PAGE_SIZES = [4 * KIB, 8 * KIB, 16 * KIB, 64 * KIB];

/**
 * The most common signatures on Linux disks, and on other disks that Linux meets. Source: util-linux,
 * libblkid/src/superblocks; the on-disk structures of the Linux kernel.
 */
const MAGIC_STRINGS: readonly MagicString[] = [
  { type: "xfs", at: 0, magic: ["XFSB"], uuid: 32, label: { at: 108, length: 12 } },
  {
    ...{ type: "btrfs", at: 64 * KIB + 64, magic: ["_BHRfS_M"], uuid: 64 * KIB + 32 },
    label: { at: 64 * KIB + 0x12b, length: 256 },
  },
  { type: "crypto_LUKS", at: 0, magic: ["LUKS\xba\xbe"], uuidText: { at: 168, length: 40 } },
  ...LUKS2_COPIES_KIB.map((kib) => ({ type: "crypto_LUKS", at: kib * KIB, magic: ["SKUL\xba\xbe"] })),
  ...PAGE_SIZES.map((pageBytes) => ({
    ...{ type: "swap", at: pageBytes - 10, magic: SWAP_MAGIC },
    ...{ uuid: KIB + 12, label: { at: KIB + 28, length: 16 } },
  })),
  { type: "ntfs", at: 3, magic: ["NTFS    "] },
  { type: "exfat", at: 3, magic: ["EXFAT   "] },
  { type: "BitLocker", at: 3, magic: ["-FVE-FS-"] },
  { type: "ReFS", at: 0, magic: ["\0\0\0ReFS\0"] },
  { type: "vfat", at: 82, magic: ["FAT32   "], label: { at: 71, length: 11 } },
  {
    ...{ type: "vfat", at: 54, magic: ["FAT12   ", "FAT16   ", "FAT     "] },
    label: { at: 43, length: 11 },
  },
  { type: "iso9660", at: 32 * KIB + 1, magic: ["CD001"], label: { at: 32 * KIB + 40, length: 32 } },
  ...[0, 2, 4, 6, 8].map((kib) => ({ type: "udf", at: (32 + kib) * KIB + 1, magic: ["NSR02", "NSR03"] })),
  { type: "squashfs", at: 0, magic: ["hsqs", "sqsh"] },
  { type: "cramfs", at: 0, magic: ["\x45\x3d\xcd\x28", "\x28\xcd\x3d\x45"] },
  { type: "f2fs", at: KIB, magic: ["\x10\x20\xf5\xf2"], uuid: KIB + 108 },
  { type: "erofs", at: KIB, magic: ["\xe2\xe1\xf5\xe0"] },
  { type: "hfsplus", at: KIB, magic: ["H+\0\x04", "HX\0\x05"] },
  { type: "apfs", at: 32, magic: ["NXSB"] },
  { type: "jfs", at: 32 * KIB, magic: ["JFS1"] },
  { type: "reiserfs", at: 64 * KIB + 52, magic: ["ReIsErFs", "ReIsEr2Fs", "ReIsEr3Fs"] },
  { type: "gfs2", at: 64 * KIB, magic: ["\x01\x16\x19\x70"] },
  ...[1, 2, 4, 8].map((kib) => ({ type: "ocfs2", at: kib * KIB, magic: ["OCFSV2"] })),
  { type: "VMFS_volume_member", at: 1024 * KIB, magic: ["\x0d\xd0\x01\xc0"] },
  {
    ...{ type: "bcache", at: 4 * KIB + 24, uuid: 4 * KIB + 40 },
    magic: ["\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"],
  },
  {
    ...{ type: "bcachefs", at: 4 * KIB + 24, uuid: 4 * KIB + 40 },
    magic: ["\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"],
  },
  { type: "ceph_bluestore", at: 0, magic: ["bluestore block device\n"] },
  { type: "oracleasm", at: 32, magic: ["ORCLDISK"] },
  { type: "stratis", at: 512 + 4, magic: ["!Stra0tis\x86\xff\x02^\x41rh"] },
  // Device-mapper targets, and formats built on them.
  { type: "DM_verity_hash", at: 0, magic: ["verity\0\0"], uuid: 16 },
  { type: "DM_integrity", at: 0, magic: ["integrt\0"] },
  { type: "DM_snapshot_cow", at: 0, magic: ["SnAp\x01\0\0\0"] },
  { type: "vdo", at: 0, magic: ["dmvdo001"] },
  { type: "DM_thin_metadata", at: 32, magic: ["\xba\x52\x9c\x01\0\0\0\0"] },
  { type: "DM_cache_metadata", at: 32, magic: ["\x03\xc4\x18\0\0\0\0\0"] },
];

/** Evidence of data on a device: a file system, a partition table, a RAID member or the like. */
export interface DiskSignature {
  /** The name that libblkid uses: `ext4`, `LVM2_member`, `gpt`. */
  type: string;
  /** Offset of the magic bytes from the start of the device. */
  offset: number;
  label?: string | undefined;
  uuid?: string | undefined;
}
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
 * Looks for common signatures at both ends of a device, or of a part of it. Needs no external tools.
 * @param start first byte of the part, a multiple of 4096; offsets in the result count from there
 * @returns at most one for each place, ordered by kind
 * @throws a system error when the device cannot be read
 */
export async function probeDevice(fd: number, sizeBytes: number, start = 0): Promise<DiskSignature[]> {
  const ends = await DeviceEnds.read(fd, sizeBytes, start);
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

  /** Reads both ends of a part of a device. Bypasses the page cache, which may still have older data. */
  static async read(fd: number, sizeBytes: number, start: number): Promise<DeviceEnds> {
    const headBytes = Math.min(sizeBytes, HEAD_BYTES);
    const tail = Math.max(0, sizeBytes - TAIL_BYTES);
    const tailStart = tail - (tail % DIRECT_ALIGNMENT_BYTES);
    return new DeviceEnds(sizeBytes, [
      { offset: 0, bytes: await readUncached(fd, start, headBytes) },
      { offset: tailStart, bytes: await readUncached(fd, start + tailStart, sizeBytes - tailStart) },
    ]);
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

/**
 * Reads bytes of an open device past the page cache.
 * @param offset a multiple of 4096
 * @throws a system error when the device cannot be read, or is shorter
 */
export async function readUncached(fd: number, offset: number, length: number): Promise<Buffer> {
  const buffer = allocateAligned(Math.ceil(length / DIRECT_ALIGNMENT_BYTES) * DIRECT_ALIGNMENT_BYTES);
  const handle = await open(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_DIRECT);
  try {
    for (let done = 0; done < length; ) {
      const { bytesRead } = await handle.read(buffer, done, buffer.length - done, offset + done);
      if (bytesRead === 0) throw new Error(`only ${done} of ${length} bytes could be read at byte ${offset}`);
      done += bytesRead;
    }
  } finally {
    await handle.close();
  }
  return buffer.subarray(0, length);
}

function magicString(
  ends: DeviceEnds,
  { type, at, magic, label, uuid, uuidText }: MagicString,
): DiskSignature[] {
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
function extended(ends: DeviceEnds): DiskSignature[] {
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
function lvm(ends: DeviceEnds): DiskSignature[] {
  return [0, 512, 1024, 1536]
    .filter((offset) => ends.holds(offset, ["LABELONE"]) && ends.holds(offset + 24, ["LVM2 001"]))
    .map((offset) => ({ type: "LVM2_member", offset: offset + 24, uuid: textOf(ends.at(offset + 32, 32)) }));
}

/**
 * Finds an md device: its superblock is at one of four places, depending on the version (Linux kernel,
 * drivers/md/md.c).
 */
function raid(ends: DeviceEnds): DiskSignature[] {
  const old = ends.sizeBytes - (ends.sizeBytes % (64 * KIB)) - 64 * KIB;
  const end = ends.sizeBytes - 8 * KIB;
  const places = [end - (end % (4 * KIB)), 0, 4 * KIB];
  const found: DiskSignature[] = places
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
function zfs(ends: DeviceEnds): DiskSignature[] {
  const end = ends.sizeBytes - (ends.sizeBytes % ZFS_LABEL_BYTES);
  for (const label of [0, ZFS_LABEL_BYTES, end - 2 * ZFS_LABEL_BYTES, end - ZFS_LABEL_BYTES]) {
    for (let offset = label + ZFS_LABEL_BYTES / 2; offset < label + ZFS_LABEL_BYTES; offset += KIB) {
      if (ends.holds(offset, UBERBLOCK_MAGICS)) return [{ type: "zfs_member", offset }];
    }
  }
  return [];
}

/** Finds a GPT at the start, and its copy in the last sector (UEFI Specification, 5.3.2). */
function gpt(ends: DeviceEnds): DiskSignature[] {
  return SECTOR_SIZES.flatMap((sectorBytes) => [sectorBytes, ends.sizeBytes - sectorBytes])
    .filter((offset) => ends.holds(offset, ["EFI PART"]))
    .map((offset) => ({ type: "gpt", offset, uuid: formatGuid(ends.at(offset + 56, 16)) }));
}

/**
 * Finds an MBR. DOS and Windows file systems end their first sector in the same way, but without a partition
 * table in it.
 */
function mbr(ends: DeviceEnds): DiskSignature[] {
  if (!ends.holds(510, ["\x55\xaa"])) return [];
  const entries = [446, 462, 478, 494].map((offset) => ends.at(offset, 16));
  const isTable = entries.every((entry) => entry[0] === 0 || entry[0] === 0x80);
  const isUsed = entries.some((entry) => entry[4] !== 0 && entry.readUInt32LE(12) > 0);
  if (!isTable || !isUsed) return [];
  return [{ type: "dos", offset: 510, uuid: ends.at(440, 4).readUInt32LE().toString(16).padStart(8, "0") }];
}
