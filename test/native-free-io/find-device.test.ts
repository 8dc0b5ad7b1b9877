import assert from "node:assert/strict";
import { rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BlockSource } from "../../native-free-io/block-source.js";
import { ClaimedDevice } from "../../native-free-io/devices.js";
import { type DeviceTree, waitForDevice } from "../../native-free-io/find-device.js";
import { TestDevices } from "../support/device-tree.js";
import { rootTest } from "../support/root-test.js";
import { tempFolder } from "../support/temp-folder.js";

const MIB = 1024 * 1024;
const VOLUME = { volumeId: "vol-0123456789abcdef0", attachName: "/dev/sdf", sizeBytes: 3 * MIB };
const SERIAL = "vol0123456789abcdef0";

async function image(sizeBytes: number): Promise<string> {
  const path = join(await tempFolder(), "disk.img");
  await writeFile(path, "");
  await truncate(path, sizeBytes);
  return path;
}

async function find(tree: DeviceTree, timeoutMs = 0, signal = new AbortController().signal): Promise<string> {
  const open = (path: string) => BlockSource.open(path);
  const device = await waitForDevice(VOLUME, tree, { open, timeoutMs, signal });
  await device.close();
  return device.path;
}

rootTest("an NVMe device is found by its serial number, whatever its own number is", async () => {
  const devices = await TestDevices.create();
  await devices.attachNvme("nvme0n1", "vol0fffffffffffffff0", await image(VOLUME.sizeBytes));
  await devices.setSerial("nvme2n1", SERIAL);
  await devices.attachNvme("nvme7n1", `${SERIAL}                `, await image(VOLUME.sizeBytes));
  assert.equal(await find(devices.tree), join(devices.tree.dev, "nvme7n1"));
});

rootTest("a Xen device is found by its attach name, sdf or xvdf", async () => {
  for (const name of ["sdf", "xvdf"]) {
    const devices = await TestDevices.create();
    await devices.attachXen("xvda", await image(VOLUME.sizeBytes));
    await devices.attachXen(name, await image(VOLUME.sizeBytes));
    assert.equal(await find(devices.tree), join(devices.tree.dev, name));
  }
});

rootTest("a link by the attach name that still leads to another volume is not followed", async () => {
  const devices = await TestDevices.create();
  const other = await devices.attachNvme("nvme1n1", "vol0fffffffffffffff0", await image(VOLUME.sizeBytes));
  await devices.link("sdf", other);
  await devices.setSerial(other, "vol0fffffffffffffff0");
  await assert.rejects(find(devices.tree), { code: "DeviceNotFound", object: VOLUME.volumeId });
});

rootTest("a device that appears late is waited for", async () => {
  const devices = await TestDevices.create();
  const found = find(devices.tree, 30_000);
  await devices.attachNvme("nvme1n1", SERIAL, await image(VOLUME.sizeBytes));
  assert.equal(await found, join(devices.tree.dev, "nvme1n1"));
});

const SWAPS: Record<string, (devices: TestDevices) => Promise<void>> = {
  "the name now leads to another device": async ({ tree }) => {
    const path = join(tree.dev, "nvme1n1");
    await rm(path);
    await rename(join(tree.dev, "nvme2n1"), path);
  },
  "the kernel gave the name to another volume": (devices) =>
    devices.setSerial("nvme1n1", "vol0fffffffffffffff0"),
};

for (const [how, swap] of Object.entries(SWAPS)) {
  rootTest(`a device is not used when between finding and opening it ${how}`, async () => {
    const devices = await TestDevices.create();
    await devices.attachNvme("nvme1n1", SERIAL, await image(VOLUME.sizeBytes));
    await devices.attachNvme("nvme2n1", "vol0fffffffffffffff0", await image(VOLUME.sizeBytes));
    let opened = 0;
    const open = async (path: string) => {
      await swap(devices);
      opened++;
      return ClaimedDevice.open(path);
    };
    const { signal } = new AbortController();
    const waiting = waitForDevice(VOLUME, devices.tree, { open, timeoutMs: 0, signal });
    await assert.rejects(waiting, { code: "DeviceNotFound" });
    assert.equal(opened, 1);
    await (await ClaimedDevice.open(join(devices.tree.dev, "nvme1n1"))).close();
  });
}

rootTest("a device that has no size yet is waited for", async () => {
  const devices = await TestDevices.create();
  await devices.attachNvme("nvme1n1", SERIAL, await image(0));
  await assert.rejects(find(devices.tree), { code: "DeviceNotFound" });
});

rootTest("a device of another size than the volume's is refused and named", async () => {
  const devices = await TestDevices.create();
  await devices.attachNvme("nvme1n1", SERIAL, await image(VOLUME.sizeBytes + 512));
  await assert.rejects(find(devices.tree, 30_000), {
    code: "DeviceSizeDiffers",
    object: join(devices.tree.dev, "nvme1n1"),
    message: /3146240 bytes.*3145728/,
  });
});

rootTest("what does not appear is named when the time is up, and a signal ends the waiting", async () => {
  const { tree } = await TestDevices.create();
  await writeFile(join(tree.dev, "sdf"), "a file is no device");
  await assert.rejects(find(tree, 300), { code: "DeviceNotFound", object: VOLUME.volumeId });
  const controller = new AbortController();
  const found = find(tree, 60_000, controller.signal);
  controller.abort();
  await assert.rejects(found, { name: "AbortError" });
});
