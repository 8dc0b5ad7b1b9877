import assert from "node:assert/strict";
import { open, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BlockTarget } from "../../../native-free-io/block-target.js";
import { runWipefs } from "../../../native-free-io/signatures/find-signatures.js";
import { probeDevice } from "../../../native-free-io/signatures/probe-device.js";
import { withLoopDevice } from "../../support/loop-device.js";
import { writeRandomFile } from "../../support/random-files.js";
import { rootTest } from "../../support/root-test.js";
import { runTool } from "../../support/run-tool.js";
import { sha256File } from "../../support/same-content.js";
import { seeded } from "../../support/seeded.js";
import { makeSignedImage, SIGNED_IMAGES } from "../../support/signatures.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const MIB = 1024 * 1024;
const refuse = { sizeBytes: MIB, existing: "refuse" } as const;

for (const signed of SIGNED_IMAGES) {
  const { name, type, sizeBytes, isKnownToTool, needs, shown } = signed;
  rootTest(
    `a device that holds ${name} is refused and unchanged, and taken when asked to replace it`,
    needing(...needs),
    async () => {
      const image = join(await tempFolder(), "device.img");
      await makeSignedImage(signed, image);
      const digest = await sha256File(image);
      const file = await open(image);
      const own = (await probeDevice(file.fd, sizeBytes)).map((signature) => signature.type);
      assert.ok(own.includes(type), `found by this project itself: ${own}`);
      const tool = (await runWipefs(file.fd)).map((signature) => signature.type);
      if (isKnownToTool) assert.ok(tool.includes(type), `found by libblkid: ${tool}`);
      await file.close();
      await withLoopDevice(image, { sectorBytes: 512 }, async (device) => {
        await assert.rejects(BlockTarget.prepare(device, refuse), (error: Error) => {
          assert.equal(error.name, "TargetHasSignatures");
          assert.ok(error.message.includes(type), error.message);
          assert.match(error.message, shown);
          return true;
        });
        assert.equal(await sha256File(image), digest);
        await (await BlockTarget.prepare(device, { ...refuse, existing: "replace" })).discard();
      });
    },
  );
}

rootTest(
  "a device that holds a physical volume of LVM is refused with its id, and unchanged",
  needing("pvcreate"),
  async () => {
    const image = join(await tempFolder(), "device.img");
    await writeFile(image, "");
    await truncate(image, 32 * MIB);
    await withLoopDevice(image, { sectorBytes: 512 }, async (device) => {
      const config = `devices { use_devicesfile=0 filter=["a|^${device}$|","r|.*|"] } global { event_activation=0 }`;
      await runTool("pvcreate", "--yes", "--config", config, device);
      const digest = await sha256File(image);
      const message = /LVM2_member \(UUID [0-9A-Za-z-]{32,}\) at byte 536/;
      await assert.rejects(BlockTarget.prepare(device, refuse), { code: "TargetHasSignatures", message });
      const file = await open(image);
      const own = await probeDevice(file.fd, 32 * MIB);
      await file.close();
      assert.deepEqual([own[0]?.type, own[0]?.offset], ["LVM2_member", 536]);
      assert.equal(await sha256File(image), digest);
    });
  },
);

rootTest(
  "a blank device, and one of random data, hold no signature, whatever its size",
  seeded(async (random) => {
    const image = join(await tempFolder(), "device.img");
    for (const sizeBytes of [512, 64 * 1024, MIB, 3 * MIB + 512, 12 * MIB]) {
      for (const fill of ["zeros", "random"] as const) {
        await writeFile(image, "");
        if (fill === "random") await writeRandomFile(image, sizeBytes, random);
        await truncate(image, sizeBytes);
        await withLoopDevice(image, { sectorBytes: 512 }, async (device) => {
          const file = await open(device);
          assert.deepEqual(await probeDevice(file.fd, sizeBytes), [], `${fill}, ${sizeBytes} bytes`);
          await file.close();
        });
      }
    }
  }),
);

rootTest("signatures are found on a device of large sectors, too", needing("sfdisk"), async () => {
  const image = join(await tempFolder(), "device.img");
  await writeFile(image, "");
  await truncate(image, 32 * MIB);
  await withLoopDevice(image, { sectorBytes: 4096 }, async (device) => {
    await runTool("sh", "-c", 'printf "label: gpt\\n,16M\\n" | sfdisk -q "$0"', device);
    await assert.rejects(BlockTarget.prepare(device, refuse), {
      code: "TargetHasSignatures",
      message: /gpt \(UUID [0-9a-f-]{36}\) at byte 4096/,
    });
  });
});
