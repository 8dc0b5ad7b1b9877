import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  freeDeviceNames,
  freeSlots,
  isRootDeviceName,
  usesDeviceName,
} from "../../../controller/aws/attach.js";

const instanceWith = (...names: string[]) => ({
  BlockDeviceMappings: names.map((DeviceName) => ({ DeviceName })),
  NetworkInterfaces: [{}, {}],
});

describe("device names", () => {
  test("start with the names that AWS recommends", () => {
    assert.deepEqual(freeDeviceNames(instanceWith("/dev/xvda")).slice(0, 2), ["/dev/sdf", "/dev/sdg"]);
  });

  test("leave out names that are taken, whether as sd or as xvd", () => {
    assert.equal(freeDeviceNames(instanceWith("/dev/xvda", "/dev/xvdf", "/dev/sdg"))[0], "/dev/sdh");
  });

  test("are in use under either spelling, and some are kept for roots", () => {
    assert.ok(usesDeviceName(instanceWith("/dev/xvda"), "/dev/sda1"));
    assert.ok(!usesDeviceName(instanceWith("/dev/xvda"), "/dev/sdb"));
    assert.deepEqual(["/dev/sda1", "/dev/xvda", "/dev/sdf"].map(isRootDeviceName), [true, true, false]);
  });

  test("are more than any instance has slots", () => {
    assert.ok(freeDeviceNames(instanceWith("/dev/sda1")).length > 40);
  });
});

describe("attachment slots", () => {
  const disks = { Disks: [{ Count: 2 }] };

  test("of Nitro types are shared with network interfaces and instance store", () => {
    const type = { Hypervisor: "nitro" as const, InstanceStorageInfo: disks };
    assert.equal(freeSlots(instanceWith("/dev/xvda"), type), 28 - 1 - 2 - 2);
  });

  test("that a Nitro type reports exclude its first network interface and instance store", () => {
    const shared = (MaximumEbsAttachments: number) => ({
      ...{ Hypervisor: "nitro" as const, InstanceStorageInfo: disks },
      EbsInfo: { MaximumEbsAttachments, AttachmentLimitType: "shared" as const },
    });
    assert.equal(freeSlots(undefined, shared(25)), 28 - 1 - 1 - 2);
    assert.equal(freeSlots(instanceWith("/dev/xvda"), shared(25)), 28 - 1 - 2 - 2);
  });

  test("of types with a dedicated limit are not", () => {
    const EbsInfo = { MaximumEbsAttachments: 32, AttachmentLimitType: "dedicated" as const };
    assert.equal(freeSlots(instanceWith("/dev/xvda"), { EbsInfo, InstanceStorageInfo: disks }), 31);
  });

  test("of Xen types are 40", () => {
    assert.equal(freeSlots(instanceWith("/dev/xvda", "/dev/sdf"), { Hypervisor: "xen" }), 38);
  });

  test("of an instance to be launched leave room for its root and interface", () => {
    assert.equal(freeSlots(undefined, { Hypervisor: "nitro" }), 26);
  });
});
