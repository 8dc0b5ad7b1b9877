import { mkdir, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { after } from "node:test";
import type { DeviceTree } from "../../native-free-io/find-device.js";
import { runTool } from "./run-tool.js";
import { tempFolder } from "./temp-folder.js";

/**
 * Devices of an instance: real loop devices with the names and serial numbers that EC2 assigns. The loop
 * devices are detached when the test or suite ends. Needs root.
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

  /**
   * Attaches a device as on Nitro.
   * @param serial as the kernel shows it, with its blanks
   * @returns the loop device
   */
  async attachNvme(name: string, serial: string, image: string): Promise<string> {
    const device = await this.attachXen(name, image);
    await this.setSerial(name, serial);
    return device;
  }

  /** Attaches a device as on Xen, with a name and without a serial number. @returns the loop device */
  async attachXen(name: string, image: string): Promise<string> {
    const device = await runTool("losetup", "--find", "--show", image);
    after(() => runTool("losetup", "--detach", device));
    await symlink(device, join(this.tree.dev, name));
    return device;
  }

  /** Adds another name for a device, as udev does. */
  async link(name: string, device: string): Promise<void> {
    await symlink(device, join(this.tree.dev, name));
  }

  async setSerial(name: string, serial: string): Promise<void> {
    const folder = join(this.tree.sysfs, "block", basename(name), "device");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "serial"), `${serial}\n`);
  }

  /** Options for the command line of `serve`. */
  get options(): string[] {
    return ["--sysfs", this.tree.sysfs, "--dev", this.tree.dev];
  }
}
