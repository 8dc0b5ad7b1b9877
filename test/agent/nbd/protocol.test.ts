import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { INFO, OPTION_REPLY } from "../../../agent/nbd/protocol.js";
import { CHUNK_BYTES } from "../../../repository/format/chunk.js";
import { contextQuery, infoRequest, NbdClient } from "../../support/nbd-client.js";
import { type NbdService, startNbd } from "../../support/nbd-server.js";
import { SeededRandom } from "../../support/random.js";
import { writeSparseFile } from "../../support/random-files.js";
import { backUp, newRepository } from "../../support/repositories.js";
import { runTool } from "../../support/run-tool.js";
import { assertSameContent } from "../../support/same-content.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const MIB = 1024 * 1024;
const READ = 0;
const WRITE = 1;
const DISCONNECT = 2;
const BLOCK_STATUS = 7;
const EPERM = 1;
const EINVAL = 22;

/** Returns the peak memory of a process in bytes, from /proc. */
async function peakBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1]) * 1024;
}

function onlyOne<T>(values: T[]): T {
  assert.equal(values.length, 1);
  return values[0] as T;
}

describe("the NBD server", async () => {
  const folder = await tempFolder();
  const socket = join(folder, "nbd.sock");
  const image = join(folder, "disk.img");
  const sizeBytes = 64 * MIB + 100;
  /** The second chunk is a hole, and so is the range from byte 32 MiB to the last 100 bytes. */
  const hole = { offset: CHUNK_BYTES, length: CHUNK_BYTES };
  let content: Buffer;
  let nbd: NbdService;
  before(async () => {
    const repo = await newRepository(folder);
    const areas = [
      { offset: 0, length: CHUNK_BYTES },
      { offset: MIB, length: 31 * MIB },
      { offset: 64 * MIB, length: 100 },
    ];
    await writeSparseFile(image, sizeBytes, areas, SeededRandom.fresh());
    content = await readFile(image);
    await backUp(repo, [`${image}=disk`]);
    nbd = await startNbd(
      ...["--repo", repo, "--point", "latest", "--listen", `unix:${socket}`, "--cache-size=32M"],
    );
  });
  const connect = async () => {
    const client = await NbdClient.connect(socket);
    await client.greet();
    return client;
  };
  const types = (replies: { type: number }[]) => replies.map(({ type }) => type);

  test("answers every option of the handshake, also unknown ones", async () => {
    const client = await connect();
    const { ack, server, info, metaContext, unsupported, invalid, unknown } = OPTION_REPLY;
    assert.deepEqual(types(await client.option(99, Buffer.from("what?"))), [unsupported]);
    assert.deepEqual(types(await client.option(5)), [unsupported], "TLS");
    const [listed, ...listEnd] = await client.option(3);
    assert.equal(listed?.type, server);
    assert.equal(listed.data.toString("utf8", 4, 8), "disk");
    assert.deepEqual(types(listEnd), [ack]);
    assert.deepEqual(types(await client.option(3, Buffer.alloc(1))), [invalid]);

    assert.deepEqual(types(await client.option(6, infoRequest("nobody"))), [unknown]);
    assert.deepEqual(types(await client.option(6, infoRequest("disk").subarray(0, -1))), [invalid]);
    assert.deepEqual(types(await client.option(6, Buffer.alloc(3))), [invalid]);
    const told = await client.option(6, infoRequest("disk", INFO.name, INFO.description));
    assert.deepEqual(types(told), [info, info, info, info, ack]);
    assert.equal(told[0]?.data.readBigUInt64BE(2), BigInt(sizeBytes));
    assert.deepEqual(
      told[1]?.data.subarray(2),
      Buffer.from("00000001" + "00080000" + "02000000", "hex"),
      "block sizes",
    );
    assert.equal(told[3]?.data.toString("utf8", 2), `recovery point ${nbd.point}`);

    const base = contextQuery("disk", "base:allocation");
    assert.deepEqual(types(await client.option(10, base)), [invalid], "before structured replies");
    assert.deepEqual(types(await client.option(8, Buffer.alloc(4))), [invalid]);
    assert.deepEqual(types(await client.option(8)), [ack]);
    for (const query of [["base:allocation"], ["base:"], []]) {
      assert.deepEqual(types(await client.option(9, contextQuery("disk", ...query))), [metaContext, ack]);
    }
    assert.deepEqual(types(await client.option(9, contextQuery("disk", "qemu:dirty-bitmap:x"))), [ack]);
    assert.deepEqual(
      types(await client.option(10, contextQuery("disk"))),
      [ack],
      "a selection names its contexts",
    );
    assert.deepEqual(types(await client.option(10, contextQuery("nobody", "base:"))), [unknown]);
    assert.deepEqual(types(await client.option(10, base.subarray(0, -3))), [invalid]);
    assert.deepEqual(types(await client.option(2)), [ack]);
    await client.ended();
  });

  test("serves a client of 2011, which knows only NBD_OPT_EXPORT_NAME", async () => {
    const client = await NbdClient.connect(socket);
    await client.greet(0);
    client.sendOption(1, 4, Buffer.from("disk"));
    const answer = await client.take(8 + 2 + 124);
    assert.equal(answer.readBigUInt64BE(0), BigInt(sizeBytes));
    assert.equal(answer.readUInt16BE(8) & 3, 3, "read-only");
    // A read of data, holes and the odd end that exceeds the memory of a connection.
    for (const [offset, length] of [
      [100, 31 * MIB],
      [33 * MIB, sizeBytes - 33 * MIB],
    ] as const) {
      client.request({ command: READ, offset: BigInt(offset), length });
      const { error, data } = await client.simpleReply(length);
      assert.equal(error, 0);
      assert.ok(data.equals(content.subarray(offset, offset + length)));
    }
    client.request({ command: DISCONNECT });
    await client.ended();
  });

  test("distinguishes holes from data, in structured reads and in block status", async () => {
    const client = await NbdClient.negotiate(socket, "structured");
    client.request({ command: READ, offset: 1000n, length: 2 * CHUNK_BYTES });
    const [data, gap, tail] = await client.structuredReply();
    assert.deepEqual(types([data, gap, tail].filter((chunk) => chunk !== undefined)), [1, 2, 1]);
    assert.ok(data?.payload.subarray(8).equals(content.subarray(1000, CHUNK_BYTES)));
    assert.equal(gap?.payload.readBigUInt64BE(0), BigInt(hole.offset));
    assert.equal(gap.payload.readUInt32BE(8), hole.length);
    assert.ok(tail?.payload.subarray(8).equals(content.subarray(2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1000)));

    const extents = async (offset: number, length: number, flags: number) => {
      client.request({ command: BLOCK_STATUS, flags, offset: BigInt(offset), length });
      const { type, payload } = onlyOne(await client.structuredReply());
      assert.equal(type, 5);
      const words = Array.from({ length: payload.length / 4 }, (_, at) => payload.readUInt32BE(at * 4));
      return words.slice(1);
    };
    const all = [CHUNK_BYTES, 0, CHUNK_BYTES, 3, 31 * MIB, 0, 32 * MIB, 3, 100, 0];
    assert.deepEqual(await extents(0, sizeBytes, 0), all);
    assert.deepEqual(await extents(0, sizeBytes, 8), [CHUNK_BYTES, 0]);
    assert.deepEqual(await extents(CHUNK_BYTES + 10, 100, 8), [100, 3]);
  });

  test("refuses invalid requests in both kinds of replies, and continues", async () => {
    const refusals = [
      [{ command: READ, offset: BigInt(sizeBytes), length: 1 }, EINVAL],
      [{ command: READ, offset: BigInt(sizeBytes - 10), length: 11 }, EINVAL],
      [{ command: READ, offset: 2n ** 64n - 1n, length: 4096 }, EINVAL],
      [{ command: READ, length: 32 * MIB + 1 }, EINVAL],
      [{ command: READ, length: 2 ** 32 - 1 }, EINVAL],
      [{ command: READ, length: 0 }, EINVAL],
      [{ command: READ, flags: 4, length: 512 }, EINVAL],
      [{ command: BLOCK_STATUS, offset: BigInt(sizeBytes), length: 1 }, EINVAL],
      [{ command: 4, length: 512 }, EPERM],
      [{ command: 6, length: 512 }, EPERM],
      [{ command: 77, length: 512 }, EINVAL],
    ] as const;
    const simple = await NbdClient.negotiate(socket, "simple");
    const structured = await NbdClient.negotiate(socket, "structured");
    for (const [request, errno] of refusals) {
      simple.request({ ...request, cookie: 2n ** 64n - 3n });
      assert.deepEqual(await simple.simpleReply(), {
        error: errno,
        cookie: 2n ** 64n - 3n,
        data: Buffer.alloc(0),
      });
      structured.request(request);
      const { type, payload } = onlyOne(await structured.structuredReply());
      assert.equal(type, 0x8001, JSON.stringify(request.command));
      assert.equal(payload.readUInt32BE(0), errno);
      assert.equal(payload.readUInt16BE(4), payload.length - 6);
    }
    simple.request({ command: BLOCK_STATUS, length: 512 });
    assert.equal((await simple.simpleReply()).error, EINVAL, "block status needs structured replies");
    simple.request({ command: WRITE, length: MIB });
    simple.send(Buffer.alloc(MIB));
    assert.equal((await simple.simpleReply()).error, EPERM);
    for (const command of [3, 5]) {
      simple.request({ command, length: command === 5 ? MIB : 0 });
      assert.equal((await simple.simpleReply()).error, 0, "flush and cache");
    }
    simple.request({ command: READ, length: 512 });
    assert.ok((await simple.simpleReply(512)).data.equals(content.subarray(0, 512)));
  });

  test("cuts off clients that violate the protocol: wrong magic, options and writes without end, unknown flags", async () => {
    const attacks: ((client: NbdClient) => void)[] = [
      (client) => client.send(Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
      (client) => client.sendOption(7, 2 ** 32 - 1),
      (client) => client.sendOption(1, 6, Buffer.from("nobody")),
    ];
    for (const attack of attacks) {
      const client = await connect();
      attack(client);
      await client.ended();
    }
    const unknownFlags = await NbdClient.connect(socket);
    await unknownFlags.greet(4);
    await unknownFlags.ended();
    for (const request of [
      { magic: 0x12345678, command: READ, length: 512 },
      { command: WRITE, length: 2 ** 32 - 1 },
    ]) {
      const client = await NbdClient.negotiate(socket, "structured");
      client.request(request);
      await client.ended();
    }
    const random = SeededRandom.fresh();
    for (let round = 0; round < 20; round++) {
      const client = round % 2 === 0 ? await connect() : await NbdClient.negotiate(socket, "simple");
      client.send(random.bytes(1 + random.below(200)));
      client.socket.end();
      await client.ended();
    }
  });

  test(
    "serves others, in bounded memory, while clients ask for gigabytes and take none of them",
    needing("nbdcopy"),
    async () => {
      const pid = nbd.program.process.pid as number;
      const slow: NbdClient[] = [];
      for (const replies of ["simple", "structured", "simple", "structured"] as const) {
        const client = await NbdClient.negotiate(socket, replies);
        client.socket.pause();
        for (let request = 0; request < 1000; request++) client.request({ command: READ, length: 32 * MIB });
        slow.push(client);
      }
      const copied = join(folder, "copied.img");
      await runTool("nbdcopy", nbd.listening, copied);
      await assertSameContent(copied, image);
      const peak = await peakBytes(pid);
      assert.ok(peak < 400 * MIB, `${peak} bytes for what 4000 requests of 32 MiB keep in memory`);
      const [client] = slow as [NbdClient];
      const { data } = await client.simpleReply(32 * MIB);
      assert.ok(data.equals(content.subarray(0, 32 * MIB)), "who comes back is served");
    },
  );

  test("ends cleanly in the middle of requests", async () => {
    const client = await NbdClient.negotiate(socket, "structured");
    for (let request = 0; request < 100; request++) client.request({ command: READ, length: 32 * MIB });
    await nbd.stop();
    await client.ended();
    assert.deepEqual(nbd.stderr().trim().split("\n"), [
      "Interrupted; the volume is no longer served, and nothing in the repository was changed. Press Ctrl-C again to quit now.",
    ]);
  });
});
