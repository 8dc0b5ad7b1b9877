import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { systemErrorCode } from "../foundation/blockferry-error.js";
import { atPlace, type HeldPlace } from "../foundation/held-place.js";
import { blockDeviceSizeBytes } from "./device-number.js";
import { deviceUser } from "./device-use.js";
import { targetInUse, targetNotUsable } from "./target-errors.js";

/**
 * A block device that is open for writing and claimed. `O_EXCL` keeps anyone from mounting it. Its path can
 * come to name another device at any moment, but all checks and writes go to the same device.
 */
export class ClaimedDevice {
  private constructor(
    readonly path: string,
    /** Device number, as in `Stats`. */
    readonly rdev: number,
    readonly sizeBytes: number,
    readonly handle: FileHandle,
  ) {}

  /** Opens and claims a device. @throws TargetInUse, TargetNotUsable */
  static async open(path: string): Promise<ClaimedDevice> {
    try {
      return await atPlace(path, (place) => ClaimedDevice.openAt(place, path));
    } catch (error) {
      throw targetNotUsable(path, error);
    }
  }

  /**
   * Opens and claims the device at a held place.
   * @param path for messages
   * @throws TargetInUse, TargetNotUsable
   */
  static async openAt(place: HeldPlace, path: string): Promise<ClaimedDevice> {
    const handle = await claim(place, path);
    try {
      const stats = await handle.stat();
      if (!stats.isBlockDevice()) throw new Error("it is no block device any more");
      const user = await deviceUser(path, stats.rdev);
      if (user !== undefined) throw targetInUse(path, user);
      return new ClaimedDevice(path, stats.rdev, await blockDeviceSizeBytes(stats.rdev), handle);
    } catch (error) {
      await handle.close();
      throw targetNotUsable(path, error);
    }
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

async function claim(place: HeldPlace, path: string): Promise<FileHandle> {
  try {
    return await place.open(constants.O_RDWR | constants.O_EXCL);
  } catch (error) {
    if (systemErrorCode(error) !== "EBUSY") throw targetNotUsable(path, error);
    const rdev = (await place.status())?.rdev;
    const user = rdev === undefined ? undefined : await deviceUser(path, rdev).catch(() => undefined);
    throw targetInUse(path, user ?? "another program has claimed it");
  }
}
