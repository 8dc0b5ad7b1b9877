import { mkdir, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { after } from "node:test";
import type { DeviceTree } from "../../native-free-io/find-device.js";
import { runTool } from "./run-tool.js";
import { tempFolder } from "./temp-folder.js";

/**
 * An instance's devices: real loop devices under the names, and with the serial numbers, that EC2 would give them. The loop
 * devices go when the test or suite ends. Needs root.
 */
export class TestDevices {
  private constructor(readonly tree: DeviceTree) {}

  static async create(): Promise<TestDevices> {
    const folder = await tempFolder();
    const tree = { sysfs: join(folder, "sys"), dev: join(folder, "dev") };
    await mkdir(join(tree.sysfs, "block"), { recursive: true });
    await mkdir(tree.dev);
    return new TestDevices(tree);
  }

  /** As on Nitro. @param serial as the kernel shows it, blanks and all @returns the loop device */
  async attachNvme(name: string, serial: string, image: string): Promise<string> {
    const device = await this.attachXen(name, image);
    await this.setSerial(name, serial);
    return device;
  }

  /** As on Xen: a name and no serial number. */
  async attachXen(name: string, image: string): Promise<string> {
    const device = await runTool("losetup", "--find", "--show", image);
    after(() => runTool("losetup", "--detach", device));
    await symlink(device, join(this.tree.dev, name));
    return device;
  }

  /** Another name for a device, as udev gives. */
  async link(name: string, device: string): Promise<void> {
    await symlink(device, join(this.tree.dev, name));
  }

  async setSerial(name: string, serial: string): Promise<void> {
    const folder = join(this.tree.sysfs, "block", basename(name), "device");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "serial"), `${serial}\n`);
  }

  /** For the command line of `serve`. */
  get options(): string[] {
    return ["--sysfs", this.tree.sysfs, "--dev", this.tree.dev];
  }
}
