import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { BlockferryError } from "../../foundation/errors.js";
import { bareEnvironment } from "../../foundation/shell.js";
import type { ClaimedDevice } from "../devices.js";
import { type DiskSignature, probeDevice } from "./probe-device.js";

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
async function findSignatures(fd: number, sizeBytes: number): Promise<DiskSignature[]> {
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

function describe({ type, offset, label, uuid }: DiskSignature): string {
  const name = label === undefined ? "" : ` "${label}"`;
  const id = uuid === undefined ? "" : ` (UUID ${uuid})`;
  return `${type}${name}${id} at byte ${offset}`;
}

/** Far more than wipefs prints for any device. */
const MAX_OUTPUT_BYTES = 1024 * 1024;

/**
 * Returns the signatures that libblkid finds on a device. Runs `wipefs --no-act` of util-linux, which gets
 * the device as a descriptor and only reads it.
 * @returns an empty array without the tool, or when it fails: it only adds to the kinds that this project
 * finds itself
 */
export async function runWipefs(fd: number): Promise<DiskSignature[]> {
  try {
    return parse(await outputOf(fd));
  } catch {
    return [];
  }
}

function outputOf(fd: number): Promise<string> {
  const environment = bareEnvironment();
  const child = spawn("wipefs", ["--no-act", "--json", "/proc/self/fd/3"], {
    stdio: ["ignore", "pipe", "ignore", fd],
    env: { ...environment, PATH: `${environment.PATH}:/usr/sbin:/sbin` },
  });
  return new Promise((resolve, reject) => {
    let output = "";
    (child.stdout as Readable).setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (output.length > MAX_OUTPUT_BYTES) child.kill("SIGKILL");
    });
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve(output) : reject(new Error(`wipefs exited with ${code}`)),
    );
  });
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
