import { constants } from "node:fs";
import { access, open, readdir, readFile } from "node:fs/promises";
import { systemErrorCode, systemErrorMessage } from "../foundation/errors.js";
import { pause } from "../foundation/retry.js";
import { shellWord } from "../foundation/shell.js";
import { type ClaimedDevice, deviceNumber, runOnDevice, SYSFS_SECTOR_BYTES } from "./devices.js";
import { type Partition, type PartitionTable, readPartitionTable } from "./partition-table.js";
import { describeSignature, findSignatures, MOST_SHOWN } from "./signatures/find-signatures.js";

/** The subjects of notes about a restored device. */
export const DEVICE_NOTES = [
  "partitions-not-read",
  "sector-size-differs",
  "gpt-backup-not-at-end",
  "old-data-after-volume",
  "not-checked",
] as const;

/** A task that is left to the user after a restore to a device. The restore itself has succeeded. */
export interface DeviceNote {
  kind: (typeof DEVICE_NOTES)[number];
  message: string;
  /** An instruction, with the command to run. */
  remedy: string;
}

/**
 * Releases a device that a volume was written to, and makes the kernel read its partition table again.
 * It writes nothing. Never throws: the volume is complete.
 * @param volumeBytes size of the volume; bytes of the device after it are from before the restore
 */
export async function releaseRestored(device: ClaimedDevice, volumeBytes: number): Promise<DeviceNote[]> {
  const { path } = device;
  try {
    const handle = await open(`/proc/self/fd/${device.handle.fd}`, constants.O_RDONLY);
    try {
      // The kernel reads no table of a device that someone has claimed.
      await device.close();
      return await settle({ ...device, path, fd: handle.fd, volumeBytes });
    } finally {
      await handle.close();
    }
  } catch (error) {
    const reason = systemErrorMessage(error);
    return [
      {
        kind: "not-checked",
        message: `The restored partition table of ${path} could not be checked: ${reason}.`,
        remedy: `If the volume has partitions, run \`blockdev --rereadpt ${shellWord(path)}\`.`,
      },
    ];
  } finally {
    await device.close().catch(() => undefined);
  }
}

interface RestoredDevice {
  path: string;
  rdev: number;
  sizeBytes: number;
  fd: number;
  volumeBytes: number;
}

async function settle(device: RestoredDevice): Promise<DeviceNote[]> {
  const { path, fd, volumeBytes, sizeBytes } = device;
  const folder = `/sys/dev/block/${deviceNumber(device.rdev)}`;
  const notes: DeviceNote[] = [];
  let table: PartitionTable | undefined;
  if (!(await exists(`${folder}/partition`))) {
    const sectorBytes = Number(await readFile(`${folder}/queue/logical_block_size`, "utf8"));
    table = await readPartitionTable(fd, volumeBytes, sectorBytes);
    const isReadable = table?.sectorBytes === undefined || table.sectorBytes === sectorBytes;
    notes.push(...(await rereadPartitions(device, folder, isReadable ? table : undefined)));
    if (!isReadable) {
      notes.push(sectorSizeDiffers(path, table?.sectorBytes ?? 0, sectorBytes));
      table = undefined;
    } else if (table?.kind === "gpt" && table.endBytes <= volumeBytes && sizeBytes > volumeBytes) {
      notes.push({
        kind: "gpt-backup-not-at-end",
        message: `${path} is larger than the volume, so the backup of its partition table (GPT) is not at its end.`,
        remedy: `Run \`sgdisk -e ${shellWord(path)}\` to move it there (package gdisk); partitions can then use the whole device.`,
      });
    }
  }
  if (sizeBytes > volumeBytes) notes.push(...(await oldSignatures(device, table)));
  return notes;
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** How often the kernel is asked. udev opens partitions for a moment whenever a disk has been written. */
const TRIES = 5;
const TRY_INTERVAL_MS = 300;
const TOOL_TIMEOUT_MS = 30_000;

/**
 * Makes the kernel read the partition table.
 * @param table undefined if the kernel must find none
 */
async function rereadPartitions(
  { path, fd }: RestoredDevice,
  folder: string,
  table: PartitionTable | undefined,
): Promise<DeviceNote[]> {
  let reason: string | undefined;
  for (let tries = 1; tries <= TRIES; tries++) {
    reason = await failureOf(fd, "blockdev", ["--rereadpt"]);
    if (await showsPartitions(folder, table)) return [];
    // A partition in use would keep its old place among the new ones.
    if (!isBusy(reason)) {
      // For devices on which the kernel looks for no partitions itself, and for kernels that do not know GPT.
      const failure =
        (await failureOf(fd, "partx", DELETE_ALL)) ??
        (table === undefined ? undefined : await failureOf(fd, "partx", ["--add"]));
      if (reason === undefined && failure === undefined) return [];
      if (await showsPartitions(folder, table)) return [];
      reason ??= failure;
    }
    if (tries < TRIES) await pause(TRY_INTERVAL_MS, undefined);
  }
  const command = (await exists(`${folder}/dm`)) ? "kpartx -u" : "blockdev --rereadpt";
  return [
    {
      kind: "partitions-not-read",
      message: `The kernel does not show the partitions of ${path} as they were restored: ${reason}.`,
      remedy: `When nothing uses a partition of the device (\`lsblk\` shows the users), run \`${command} ${shellWord(path)}\` as root.`,
    },
  ];
}

/**
 * `partx --update` would keep old partitions with numbers that the new table lacks. Without a range, partx
 * looks for a table. The kernel shows 256 partitions at most (DISK_MAX_PARTS).
 */
const DELETE_ALL = ["--delete", "--nr", "1:256"];

/** Runs a tool on the device. @returns the reason of its failure, as a clause */
async function failureOf(fd: number, tool: string, args: string[]): Promise<string | undefined> {
  try {
    const { code, stderr } = await runOnDevice(fd, tool, args, TOOL_TIMEOUT_MS);
    if (code === 0) return undefined;
    const [line = ""] = stderr.trim().split("\n");
    if (isBusy(line)) return "one of its old partitions is in use (device or resource busy)";
    return line === "" ? `${tool} ended with ${code ?? "a signal"}` : line.replace(/\.$/, "");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return `${tool} (util-linux) is not installed`;
    return systemErrorMessage(error);
  }
}

const isBusy = (reason = "") => /\bbusy\b/i.test(reason);

/** Returns whether the kernel shows exactly the partitions of the table; false if they are unknown. */
async function showsPartitions(folder: string, table: PartitionTable | undefined): Promise<boolean> {
  const shown = await kernelPartitions(folder);
  if (table === undefined) return shown.length === 0;
  const { partitions: wanted, hasExtended } = table;
  const isSame = (one: Partition) => (other: Partition) =>
    one.number === other.number && one.offset === other.offset && one.sizeBytes === other.sizeBytes;
  return (
    wanted?.every((one) => shown.some(isSame(one))) === true &&
    (hasExtended || shown.every((one) => wanted.some(isSame(one))))
  );
}

/** Returns the partitions that the kernel shows. */
async function kernelPartitions(folder: string): Promise<Partition[]> {
  const partitions: Partition[] = [];
  for (const name of await readdir(folder)) {
    const numberIn = async (file: string) => Number(await readFile(`${folder}/${name}/${file}`, "utf8"));
    const number = await numberIn("partition").catch(() => undefined);
    if (number === undefined) continue;
    partitions.push({
      number,
      offset: (await numberIn("start")) * SYSFS_SECTOR_BYTES,
      sizeBytes: (await numberIn("size")) * SYSFS_SECTOR_BYTES,
    });
  }
  return partitions;
}

function sectorSizeDiffers(path: string, tableBytes: number, deviceBytes: number): DeviceNote {
  return {
    kind: "sector-size-differs",
    message: `The restored partition table counts in sectors of ${tableBytes} bytes, but ${path} has sectors of ${deviceBytes}: no system finds the partitions there.`,
    remedy: `Restore to a device with sectors of ${tableBytes} bytes, or read this one through \`losetup --find --show --partscan --sector-size ${tableBytes} ${shellWord(path)}\`.`,
  };
}

/**
 * Reports signatures after the end of the volume. They are from before the restore, such as the backup header
 * of the previous GPT, and programs can take them for part of the restored disk.
 * @param table a readable table
 */
async function oldSignatures(
  { path, fd, sizeBytes, volumeBytes }: RestoredDevice,
  table: PartitionTable | undefined,
): Promise<DeviceNote[]> {
  const found = await findSignatures(fd, sizeBytes);
  const old = found
    .filter(({ offset }) => offset >= Math.max(volumeBytes, table?.endBytes ?? 0))
    .slice(0, MOST_SHOWN);
  if (old.length === 0) return [];
  const isReplaced = table?.kind === "gpt" && old.every(({ type }) => type === "gpt");
  const commands = old.map(({ offset }) => `\`wipefs --offset ${offset} ${shellWord(path)}\``).join(", ");
  return [
    {
      kind: "old-data-after-volume",
      message: `After the end of the volume, ${path} still has data from before the restore: ${old.map(describeSignature).join("; ")}.`,
      remedy: isReplaced
        ? `\`sgdisk -e ${shellWord(path)}\` replaces them.`
        : `Programs can take them for part of the restored disk. Erase them: ${commands}.`,
    },
  ];
}
