import { BlockferryError } from "../../foundation/errors.js";
import { type ClaimedDevice, runOnDevice } from "../devices.js";
import { type DiskSignature, probeDevice } from "./probe-device.js";

/** ZFS alone writes more than a hundred signatures. */
export const MOST_SHOWN = 8;

/**
 * Refuses a device with a known signature. That is a file system or a partition table, or a member of a RAID,
 * a volume group or an encrypted volume.
 * @throws TargetHasSignatures, which lists what would be lost; a system error when the device cannot be read
 */
export async function refuseSignatures({ path, sizeBytes, handle }: ClaimedDevice): Promise<void> {
  const found = await findSignatures(handle.fd, sizeBytes);
  const [first] = found;
  if (first === undefined) return;
  const shown = found.slice(0, MOST_SHOWN).map(describeSignature).join("; ");
  const more = found.length > MOST_SHOWN ? `; and ${found.length - MOST_SHOWN} more` : "";
  throw new BlockferryError({
    code: "TargetHasSignatures",
    message: `${path} is not blank; a restore would destroy its contents: ${shown}${more}.`,
    remedy:
      "Check that this is the right device (`lsblk -f` lists the file systems). Overwrite it with --force, or restore to another device.",
    object: path,
    offset: first.offset,
  });
}

/**
 * Returns the signatures that libblkid and this project find on a device: each one once, ordered by offset.
 * @throws a system error when the device cannot be read
 */
export async function findSignatures(fd: number, sizeBytes: number): Promise<DiskSignature[]> {
  const byTool = await runWipefs(fd);
  const own = await probeDevice(fd, sizeBytes);
  const ownAt = new Map(own.map((signature) => [signature.offset, signature]));
  const known = byTool.map((signature) => ({
    ...signature,
    uuid: signature.uuid ?? ownAt.get(signature.offset)?.uuid,
  }));
  const isKnown = ({ type, offset }: DiskSignature) =>
    byTool.some((other) => other.offset === offset || other.type === type);
  const others = own.filter((signature) => !isKnown(signature));
  return [...known, ...others].toSorted((a, b) => a.offset - b.offset);
}

/** Returns text like `ext4 "root" (UUID ...) at byte 1080`. */
export function describeSignature({ type, offset, label, uuid }: DiskSignature): string {
  const name = label === undefined ? "" : ` "${label}"`;
  const id = uuid === undefined ? "" : ` (UUID ${uuid})`;
  return `${type}${name}${id} at byte ${offset}`;
}

/**
 * Returns the signatures that libblkid finds on a device. Runs `wipefs --no-act` of util-linux, which gets
 * the device as a descriptor and only reads it.
 * @returns an empty array without the tool, or when it fails: it only adds to the kinds that this project
 * finds itself
 */
export async function runWipefs(fd: number): Promise<DiskSignature[]> {
  try {
    const { code, stdout } = await runOnDevice(fd, "wipefs", ["--no-act", "--json"]);
    return code === 0 ? parse(stdout) : [];
  } catch {
    return [];
  }
}

interface WipefsOutput {
  signatures: { offset: string; type: string; uuid: string | null; label: string | null }[];
}

function parse(output: string): DiskSignature[] {
  const { signatures } = JSON.parse(output) as WipefsOutput;
  return signatures.map(({ type, offset, uuid, label }) => ({
    ...{ type, offset: Number(offset) },
    ...{ uuid: uuid ?? undefined, label: label ?? undefined },
  }));
}
