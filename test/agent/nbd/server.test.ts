import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { NbdServer } from "../../../agent/nbd/server.js";
import { openVolume, VolumeReader } from "../../../agent/nbd/volume-reader.js";
import type { RecoveryPointVolume } from "../../../repository/format/recovery-point.js";
import { openRepository } from "../../../repository/open/repository.js";
import { findPoint } from "../../../repository/points/find-point.js";
import { NbdClient } from "../../support/nbd-client.js";
import { SeededRandom } from "../../support/random.js";
import { writeRandomFile } from "../../support/random-files.js";
import { backUp, newRepository } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";

describe("a server with clients that say nothing", async () => {
  const folder = await tempFolder();
  const path = join(folder, "nbd.sock");

  async function serve(handshakeMs: number): Promise<NbdServer> {
    const image = join(folder, "disk.img");
    const repo = await newRepository(folder, `repo-${handshakeMs}`);
    await writeRandomFile(image, 1024, SeededRandom.fresh());
    await backUp(repo, [`${image}=disk`]);
    const { storage } = await openRepository(repo);
    const point = await findPoint(storage, "latest");
    const volume = await openVolume(storage, point, point.volumes[0] as RecoveryPointVolume);
    const reader = new VolumeReader(volume, { cacheBytes: 2 ** 20, onUnreadable: () => undefined });
    const offered = { name: "disk", description: "", sizeBytes: volume.sizeBytes };
    return NbdServer.listen({ kind: "unix", path }, reader, offered, { handshakeMs });
  }

  test("cuts them off in the handshake, and leaves those alone that are past it", async () => {
    const server = await serve(200);
    try {
      const served = await NbdClient.negotiate(path, "simple");
      const silent = await NbdClient.connect(path);
      const halfway = await NbdClient.connect(path);
      await halfway.greet();
      halfway.sendOption(7, 100);
      await Promise.all([silent.ended(), halfway.ended()]);
      served.request({ command: 0, length: 1024 });
      assert.equal((await served.simpleReply(1024)).error, 0);
    } finally {
      await server.close();
    }
  });

  test("takes sixteen of them, and turns the next one away until one has gone", async () => {
    const server = await serve(60_000);
    try {
      const clients: NbdClient[] = [];
      while (clients.length < 16) clients.push(await NbdClient.negotiate(path, "simple"));
      const surplus = connect(path).resume();
      surplus.on("error", () => undefined);
      await once(surplus, "close");
      const [first] = clients as [NbdClient];
      first.request({ command: 2 });
      await first.ended();
      await NbdClient.negotiate(path, "simple");
    } finally {
      await server.close();
    }
  });
});
