import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { test } from "node:test";
import fc from "fast-check";
import { deviceNumber } from "../../native-free-io/devices.js";

/** Encodes device numbers as the kernel does for user space: include/linux/kdev_t.h, new_encode_dev. */
function encode(major: number, minor: number): number {
  return (((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0) as number;
}

test("major and minor come out of every number that the kernel makes", () => {
  fc.assert(
    fc.property(fc.nat({ max: 0xfff }), fc.nat({ max: 0xf_ffff }), (major, minor) => {
      assert.equal(deviceNumber(encode(major, minor)), `${major}:${minor}`);
    }),
    {
      examples: [
        [0, 0],
        [0xfff, 0xf_ffff],
        [259, 256],
        [8, 16],
        [7, 0x1_0000],
      ],
    },
  );
});

test("/dev/null is 1:3, and every block device that sysfs lists has the number that stat gives", async () => {
  assert.equal(deviceNumber((await stat("/dev/null")).rdev), "1:3");
  for (const line of (await readFile("/proc/partitions", "utf8")).split("\n").slice(2)) {
    const [major, minor, , name] = line.trim().split(/\s+/);
    const device = await stat(`/dev/${name}`).catch(() => undefined);
    if (device?.isBlockDevice()) assert.equal(deviceNumber(device.rdev), `${major}:${minor}`);
  }
});
