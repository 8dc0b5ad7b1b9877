import { open, truncate, writeFile } from "node:fs/promises";
import { runTool } from "./run-tool.js";
import type { Tool } from "./tools.js";

const MIB = 1024 * 1024;
const KIB = 1024;
const UUID = "0d9b8f6e-4a53-4c21-9f10-2b7a6c5d4e3f";
const MD_MAGIC = 0xa92b4efc;
const ZFS_MAGIC = 0x00bab10cn;

/** A kind of signature, and a way to make a file with it. */
interface SignedImage {
  name: string;
  /** Type of one of its signatures, as libblkid names it. */
  type: string;
  sizeBytes: number;
  /** Whether libblkid also recognizes it. */
  isKnownToTool: boolean;
  /** The required tools that some machines lack. */
  needs: Tool[];
  /** Text about it in an error, in addition to its type. */
  shown: RegExp;
  make(image: string): Promise<unknown>;
}

/**
 * One image of each kind, made by its own tools. Kinds whose tools need a kernel module are written as bytes.
 */
export const SIGNED_IMAGES: SignedImage[] = [
  byTool("ext4", 32, /"root" \(UUID 0d9b8f6e-/, "mkfs.ext4", "-q", "-F", "-L", "root", "-U", UUID),
  byTool("ext3", 32, /at byte 1080/, "mkfs.ext3", "-q", "-F"),
  byTool("ext2", 32, /at byte 1080/, "mkfs.ext2", "-q", "-F"),
  byTool("xfs", 320, /"data" \(UUID [0-9a-f-]{36}\) at byte 0/, "mkfs.xfs", "-q", "-f", "-L", "data"),
  byTool("btrfs", 128, /\(UUID [0-9a-f-]{36}\) at byte 65600/, "mkfs.btrfs", "-q", "-f"),
  byTool("vfat", 64, /at byte 82/, "mkfs.vfat", "-F", "32", "-n", "EFI"),
  byTool("swap", 32, /\(UUID 0d9b8f6e-.* at byte 4086/, "mkswap", "-U", UUID),
  byTool(
    "crypto_LUKS",
    32,
    /\(UUID [0-9a-f-]{36}\) at byte 0/,
    ...(["cryptsetup", "luksFormat", "--batch-mode"] as const),
    ...["--key-file=/dev/zero", "--keyfile-size=32"],
    ...["--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000"],
  ),
  table("gpt", "gpt", /at byte 512; gpt .*at byte \d{8}/),
  table("dos", "dos", /at byte 510/),
  {
    ...bytes("a GPT of which only the copy at the end is left", "gpt", /at byte 33553920/),
    isKnownToTool: true,
    needs: ["sfdisk"],
    make: async (image) => {
      await runTool("sh", "-c", 'echo "label: gpt" | sfdisk -q "$0"', image);
      await writeAt(image, 0, Buffer.alloc(64 * KIB));
    },
  },
  {
    ...bytes("a LUKS2 volume of which only the second header is left", "crypto_LUKS", /at byte 16384/),
    isKnownToTool: true,
    needs: ["cryptsetup"],
    make: async (image) => {
      await byTool(
        ...(["crypto_LUKS", 32, /./, "cryptsetup", "luksFormat", "--type=luks2", "--batch-mode"] as const),
        ...["--key-file=/dev/zero", "--keyfile-size=32", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000"],
      ).make(image);
      await writeAt(image, 0, Buffer.alloc(4 * KIB));
    },
  },
  raid("1.0", 32 * MIB - 8 * KIB),
  raid("1.1", 0),
  raid("1.2", 4 * KIB),
  {
    ...bytes("linux_raid_member, version 0.90", "linux_raid_member", /at byte 33488896/),
    make: (image) => writeAt(image, 32 * MIB - 64 * KIB, words(MD_MAGIC, 0, 90)),
  },
  {
    ...bytes("zfs_member", "zfs_member", /at byte \d+/),
    make: (image) => writeUberblocks(image, [0, 256 * KIB, 32 * MIB - 512 * KIB, 32 * MIB - 256 * KIB]),
  },
  {
    ...bytes("zfs_member of which only the labels at the end are left", "zfs_member", /at byte 33/),
    make: (image) => writeUberblocks(image, [32 * MIB - 512 * KIB, 32 * MIB - 256 * KIB]),
  },
  magic("ntfs", 3, "NTFS    "),
  magic("exfat", 3, "EXFAT   "),
  magic("iso9660", 32 * KIB + 1, "CD001"),
  magic("squashfs", 0, "hsqs"),
  magic("DM_integrity", 0, "integrt\0"),
  magic("DM_thin_metadata", 32, "\xba\x52\x9c\x01\0\0\0\0"),
  magic("bcache", 4 * KIB + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
  magic("apfs", 32, "NXSB"),
];

/** Writes a file with the signature; the rest of it is zeros. */
export async function makeSignedImage({ sizeBytes, make }: SignedImage, path: string): Promise<void> {
  await writeFile(path, "");
  await truncate(path, sizeBytes);
  await make(path);
}

function byTool(type: string, mib: number, shown: RegExp, tool: Tool, ...args: string[]): SignedImage {
  const make = (image: string) => runTool(tool, ...args, image);
  return { name: type, type, sizeBytes: mib * MIB, isKnownToTool: true, needs: [tool], shown, make };
}

function table(type: string, label: string, shown: RegExp): SignedImage {
  const script = `printf 'label: ${label}\\n,16M\\n' | sfdisk -q "$0"`;
  const make = (image: string) => runTool("sh", "-c", script, image);
  return { ...bytes(type, type, shown), isKnownToTool: true, needs: ["sfdisk"], make };
}

/** Fields of an image that libblkid does not recognize: it requires more than the magic bytes. */
function bytes(name: string, type: string, shown: RegExp): Omit<SignedImage, "make"> {
  return { name, type, sizeBytes: 32 * MIB, isKnownToTool: false, needs: [], shown };
}

function magic(type: string, offset: number, text: string): SignedImage {
  const make = (image: string) => writeAt(image, offset, Buffer.from(text, "latin1"));
  return { ...bytes(`${type}, by its magic bytes`, type, new RegExp(`at byte ${offset}\\b`)), make };
}

/**
 * The fields of md superblock version 1 that libblkid checks (Linux kernel, include/uapi/linux/raid/md_p.h).
 */
function raid(version: string, offset: number): SignedImage {
  const superblock = Buffer.alloc(256);
  words(MD_MAGIC, 1).copy(superblock);
  Buffer.from(UUID.replaceAll("-", ""), "hex").copy(superblock, 16);
  superblock.write("host:0", 32);
  superblock.writeBigUInt64LE(BigInt(offset / 512), 144);
  return {
    ...bytes(`linux_raid_member, version ${version}`, "linux_raid_member", /"host:0" \(UUID 0d9b8f6e-/),
    isKnownToTool: true,
    make: (image) => writeAt(image, offset, superblock),
  };
}

async function writeUberblocks(image: string, labels: number[]): Promise<void> {
  const uberblock = Buffer.alloc(40);
  uberblock.writeBigUInt64LE(ZFS_MAGIC);
  uberblock.writeBigUInt64LE(5000n, 8);
  for (const label of labels)
    for (let slot = 0; slot < 16; slot++) await writeAt(image, label + (128 + slot) * KIB, uberblock);
}

function words(...values: number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4);
  for (const [number, value] of values.entries()) buffer.writeUInt32LE(value, number * 4);
  return buffer;
}

async function writeAt(path: string, offset: number, content: Buffer): Promise<void> {
  const file = await open(path, "r+");
  await file.write(content, 0, content.length, offset);
  await file.close();
}
