import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { ClaimedDevice } from "../claimed-device.js";
import { probeDevice, type Signature } from "./probe-device.js";
import { runWipefs } from "./run-wipefs.js";

/** ZFS alone writes more than a hundred signatures. */
const MOST_SHOWN = 8;

/**
 * Refuses a device with a known signature. That is a file system or a partition table, or a member of a RAID,
 * a volume group or an encrypted volume.
 * @throws TargetHasSignatures, which lists what would be lost; a system error when the device cannot be read
 */
export async function refuseSignatures({ path, sizeBytes, handle }: ClaimedDevice): Promise<void> {
  const found = await findSignatures(handle.fd, sizeBytes);
  const [first] = found;
  if (first === undefined) return;
  const shown = found.slice(0, MOST_SHOWN).map(describe).join("; ");
  const more = found.length > MOST_SHOWN ? `; and ${found.length - MOST_SHOWN} more` : "";
  throw new BlockferryError({
    code: "TargetHasSignatures",
    message: `${path} is not blank; a restore would destroy what it holds: ${shown}${more}.`,
    remedy:
      "Check that this is the right device (`lsblk -f` shows what devices hold). Overwrite it with --force, or restore to another device.",
    object: path,
    offset: first.offset,
  });
}

/**
 * Returns the signatures that libblkid and this project find on a device: each one once, ordered by offset.
 * @throws a system error when the device cannot be read
 */
async function findSignatures(fd: number, sizeBytes: number): Promise<Signature[]> {
  const byTool = await runWipefs(fd);
  const own = await probeDevice(fd, sizeBytes);
  const ownAt = new Map(own.map((signature) => [signature.offset, signature]));
  const known = byTool.map((signature) => ({
    ...signature,
    uuid: signature.uuid ?? ownAt.get(signature.offset)?.uuid,
  }));
  const isKnown = ({ type, offset }: Signature) =>
    byTool.some((other) => other.offset === offset || other.type === type);
  const others = own.filter((signature) => !isKnown(signature));
  return [...known, ...others].toSorted((a, b) => a.offset - b.offset);
}

function describe({ type, offset, label, uuid }: Signature): string {
  const name = label === undefined ? "" : ` "${label}"`;
  const id = uuid === undefined ? "" : ` (UUID ${uuid})`;
  return `${type}${name}${id} at byte ${offset}`;
}
