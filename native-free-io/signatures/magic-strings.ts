/** Position of a label or an id, in bytes from the start of the device. */
interface Place {
  at: number;
  length: number;
}

/** A signature with a single position. Types have the names that libblkid uses. */
export interface MagicString {
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
export const MAGIC_STRINGS: readonly MagicString[] = [
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
