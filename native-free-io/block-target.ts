import { randomBytes } from "node:crypto";
import { constants, openSync, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { systemErrorCode } from "../foundation/errors.js";
import { HeldPlace, PRIVATE_FILE_MODE } from "../foundation/held-place.js";
import { isAbandoned, OWNER_TOKEN } from "../foundation/owner-token.js";
import { PendingFile } from "../foundation/write-file.js";
import { allocateAligned, DIRECT_ALIGNMENT_BYTES } from "./block-source.js";
import { ClaimedDevice, targetNotEmpty, targetNotUsable, targetTooSmall } from "./devices.js";
import { type DeviceNote, releaseRestored } from "./release-device.js";
import { refuseSignatures } from "./signatures/find-signatures.js";

/** The description of a target that a thread needs for writing to it. */
export interface TargetDescription {
  kind: "block-device" | "file";
  /** Path of the device, or of the partial file that becomes the target when it is complete; for messages. */
  writePath: string;
  /** Opened in the main thread; descriptors belong to the process. */
  fd: number;
  /** Whether aligned writes bypass the page cache with `O_DIRECT`. */
  direct: boolean;
}

interface TargetOptions {
  /** Size of the volume to be written. */
  sizeBytes: number;
  /** Whether to replace a file with data, or a device with a file system or another signature. */
  existing: "refuse" | "replace";
}

/**
 * A block device or file that a volume is restored to. A file is written under a temporary name beside the
 * target, and takes the target's name once it is complete and durable.
 * So a failed restore leaves nothing behind.
 */
export abstract class BlockTarget {
  protected constructor(
    /** Without symbolic links, so that targets can be compared. */
    readonly path: string,
    readonly description: TargetDescription,
  ) {}

  /**
   * Checks that a target can take the volume, and prepares it. No existing data have changed when this
   * throws.
   * @param target a path, or an open device, which the target closes at its end
   * @throws TargetNotUsable, TargetTooSmall, TargetInUse, TargetNotEmpty, TargetHasSignatures
   */
  static async prepare(target: string | ClaimedDevice, options: TargetOptions): Promise<BlockTarget> {
    if (target instanceof ClaimedDevice) return DeviceTarget.of(target, options);
    try {
      const place = await HeldPlace.hold(target);
      try {
        return await prepareAt(place, target, options);
      } catch (error) {
        await place.close();
        throw error;
      }
    } catch (error) {
      throw targetNotUsable(target, error);
    }
  }

  /**
   * Makes the written data durable, and gives a file its name. The kernel reads the partition table of a disk
   * again.
   * @returns tasks that are left to the user
   * @throws TargetNotUsable
   */
  abstract commit(): Promise<DeviceNote[]>;

  /** Releases the target without finishing it: a partial file is removed, a device stays as it is. */
  abstract discard(): Promise<void>;
}

async function prepareAt(place: HeldPlace, path: string, options: TargetOptions): Promise<BlockTarget> {
  const stats = await place.status();
  if (stats?.isBlockDevice()) {
    const device = await ClaimedDevice.openAt(place, path);
    await place.close();
    return DeviceTarget.of(device, options);
  }
  if (stats !== undefined && !stats.isFile())
    throw new Error("it is neither a block device nor a regular file");
  if (stats !== undefined && stats.size > 0 && options.existing === "refuse") throw targetNotEmpty(path);
  return FileTarget.create(place, stats, options);
}

class DeviceTarget extends BlockTarget {
  /** Prepares a device. Closes it on errors. @throws TargetTooSmall, TargetHasSignatures, TargetNotUsable */
  static async of(device: ClaimedDevice, { sizeBytes, existing }: TargetOptions): Promise<DeviceTarget> {
    try {
      if (device.sizeBytes < sizeBytes) throw targetTooSmall(device.path, device.sizeBytes, sizeBytes);
      if (existing === "refuse") await refuseSignatures(device);
      return new DeviceTarget(device, sizeBytes);
    } catch (error) {
      await device.close();
      throw targetNotUsable(device.path, error);
    }
  }

  private constructor(
    private readonly device: ClaimedDevice,
    private readonly volumeBytes: number,
  ) {
    const { path, handle } = device;
    super(path, { kind: "block-device", writePath: path, fd: handle.fd, direct: true });
  }

  async commit(): Promise<DeviceNote[]> {
    try {
      await this.device.handle.sync();
    } catch (error) {
      await this.device.close();
      throw targetNotUsable(this.path, error);
    }
    return releaseRestored(this.device, this.volumeBytes);
  }

  discard(): Promise<void> {
    return this.device.close();
  }
}

class FileTarget extends BlockTarget {
  /**
   * Creates the partial file. The target closes the place at its end; after an error the place is still open.
   */
  static async create(
    place: HeldPlace,
    before: Stats | undefined,
    { sizeBytes, existing }: TargetOptions,
  ): Promise<FileTarget> {
    const file = await PendingFile.create(place, await newPartialName(place), PRIVATE_FILE_MODE);
    try {
      const mode = await takeOwner(file.handle, before, existing);
      const direct = await supportsDirectWrites(file.handle);
      await file.handle.truncate(0);
      await file.handle.truncate(sizeBytes);
      return new FileTarget(place, file, mode, direct);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  private constructor(
    private readonly place: HeldPlace,
    private readonly file: PendingFile,
    /** Mode of the complete file. */
    private readonly mode: number,
    direct: boolean,
  ) {
    super(place.path, { kind: "file", writePath: file.path, fd: file.handle.fd, direct });
  }

  async commit(): Promise<DeviceNote[]> {
    try {
      if (this.mode !== PRIVATE_FILE_MODE) await this.file.handle.chmod(this.mode);
      await this.file.handle.sync();
      await this.file.takeName();
      await this.place.sync();
      return [];
    } catch (error) {
      throw targetNotUsable(this.path, error);
    } finally {
      await this.discard();
    }
  }

  async discard(): Promise<void> {
    if (this.file.handle.fd < 0) return;
    await this.file.close();
    await this.place.close();
  }
}

/** Opens a target for writes of one thread, which closes it. @param mode `direct` for aligned writes */
export function openBlockTarget(target: TargetDescription, mode: "direct" | "buffered"): number {
  const direct = mode === "direct" && target.direct ? constants.O_DIRECT : 0;
  return openSync(samePlace(target.fd), constants.O_WRONLY | direct);
}

/** Returns a path to the open file, whatever its own path names now (proc_pid_fd(5)). */
function samePlace(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/**
 * Gives a new file the owner of the file that it replaces. Exception: without `replace`, an existing empty
 * file of another user does not make that user the owner of the restored data.
 * @returns the mode for the complete file
 */
async function takeOwner(
  file: FileHandle,
  before: Stats | undefined,
  existing: TargetOptions["existing"],
): Promise<number> {
  if (before === undefined || (existing === "refuse" && before.uid !== process.geteuid?.()))
    return PRIVATE_FILE_MODE;
  const { uid, gid } = await file.stat();
  if (uid !== before.uid || gid !== before.gid) await file.chown(before.uid, before.gid);
  return before.mode & 0o7777;
}

async function supportsDirectWrites(file: FileHandle): Promise<boolean> {
  try {
    const handle = await open(samePlace(file.fd), constants.O_WRONLY | constants.O_DIRECT);
    try {
      await handle.write(allocateAligned(DIRECT_ALIGNMENT_BYTES), 0, DIRECT_ALIGNMENT_BYTES, 0);
      return true;
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === "EINVAL") return false;
    throw error;
  }
}

const SUFFIX = ".blockferry-partial";

/**
 * Returns a unique temporary name for a file beside its final place. Removes partial files that killed
 * processes left there.
 */
export async function newPartialName(place: HeldPlace): Promise<string> {
  const prefix = `${place.name}.`;
  for (const name of await place.names()) {
    if (!name.startsWith(prefix) || !name.endsWith(SUFFIX)) continue;
    const owner = /^([0-9a-f]{8}-\d+(?:-\d+)?)-[0-9a-f]{8}$/.exec(
      name.slice(prefix.length, -SUFFIX.length),
    )?.[1];
    if (owner === undefined || !(await place.status(name))?.isFile()) continue;
    if (await isAbandoned(join(dirname(place.path), name), owner)) await place.remove(name);
  }
  return `${prefix}${OWNER_TOKEN}-${randomBytes(4).toString("hex")}${SUFFIX}`;
}
