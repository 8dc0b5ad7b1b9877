import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkBoots } from "../../../controller/preflight/restored-instance.js";
import type { Instance } from "../../../repository/format/recovery-point.js";

const RECORDED = { architecture: "x86_64", bootMode: "uefi" } as Instance;
const IMAGE = { ImageId: "ami-1", Architecture: "x86_64", BootMode: "uefi" } as const;
const TYPE = {
  InstanceType: "m5.large" as const,
  ProcessorInfo: { SupportedArchitectures: ["x86_64" as const] },
};

describe("a restored root", () => {
  test("starts if architecture and boot mode are the recorded ones, or unknown", () => {
    checkBoots(RECORDED, IMAGE, TYPE);
    checkBoots(RECORDED, { ...IMAGE, BootMode: "uefi-preferred" }, TYPE);
    checkBoots({ ...RECORDED, bootMode: null }, { ...IMAGE, BootMode: "legacy-bios" }, undefined);
    checkBoots(RECORDED, undefined, undefined);
  });

  test("does not start with an image of another architecture or boot mode", () => {
    const refused = (image: Parameters<typeof checkBoots>[1]) => () => checkBoots(RECORDED, image, TYPE);
    assert.throws(refused({ ...IMAGE, Architecture: "arm64" }), { code: "Usage", remedy: /--ami/ });
    assert.throws(refused({ ...IMAGE, BootMode: "legacy-bios" }), { message: /boots by legacy-bios/ });
  });

  test("does not start on a type of another architecture", () => {
    const arm = {
      InstanceType: "m7g.large" as const,
      ProcessorInfo: { SupportedArchitectures: ["arm64" as const] },
    };
    assert.throws(() => checkBoots(RECORDED, IMAGE, arm), { code: "Usage", remedy: /--instance-type/ });
  });
});
