import { rm } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { NbdServer } from "../../../agent/nbd/server.js";
import { openVolume, VolumeReader } from "../../../agent/nbd/volume-reader.js";
import type { RecoveryPointVolume } from "../../../repository/format/recovery-point.js";
import { findPoint } from "../../../repository/points/find-point.js";
import { contextQuery, infoRequest } from "../../support/nbd-client.js";
import { copySample } from "../sample.js";
import type { FuzzTarget } from "../target.js";

/** More requests only take longer: each may ask for the whole volume. */
const MAX_STREAM_BYTES = 4096;
const CACHE_BYTES = 4 * 2 ** 20;
const OPTION_MAGIC = Buffer.from("IHAVEOPT", "latin1");
const REQUEST_MAGIC = 0x25609513;
const [READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS] = [0, 1, 2, 3, 4, 5, 6, 7];

/** The byte stream of an NBD client, after which it closes the connection. The client accepts all answers. */
export async function nbdTarget(folder: string): Promise<FuzzTarget> {
  const name = "nbd client";
  const { storage } = await copySample(folder, "plain", name);
  const point = await findPoint(storage, "latest");
  const volume = await openVolume(storage, point, point.volumes[0] as RecoveryPointVolume);
  const reader = new VolumeReader(volume, { cacheBytes: CACHE_BYTES, onUnreadable: () => undefined });
  const path = join(folder, "nbd.sock");
  await rm(path, { force: true });
  const offered = { name: "disk", description: "a disk", sizeBytes: volume.sizeBytes };
  const server = await NbdServer.listen({ kind: "unix", path }, reader, offered);
  const flags = Buffer.from([0, 0, 0, 3]);
  const all = { offset: 0, length: volume.sizeBytes };
  const structured = [
    ...[flags, option(8), option(3), option(9, contextQuery("", "base:")), option(99)],
    ...[option(10, contextQuery("", "base:allocation")), option(6, infoRequest("disk", 1, 2, 3))],
    ...[option(7, infoRequest("", 3)), request(READ, 1, 600_000), request(READ, 0, 512)],
    ...[request(BLOCK_STATUS, 0, all.length), request(CACHE, 0, 4096), request(FLUSH, 0, 0)],
    ...[request(WRITE, 0, 8), Buffer.alloc(8), request(TRIM, 0, 8), request(WRITE_ZEROES, 0, 8)],
    request(DISCONNECT, 0, 0),
  ];
  const simple = [
    Buffer.alloc(4),
    option(1, Buffer.from("disk")),
    request(READ, 512, 1024),
    request(READ, 0, 8),
  ];
  return {
    name,
    seeds: [Buffer.concat(structured), Buffer.concat(simple), Buffer.concat([flags, option(2)])],
    close: () => server.close(),
    run: async (input) => {
      const socket = connect(path);
      socket.on("error", () => undefined);
      socket.resume().end(input.subarray(0, MAX_STREAM_BYTES));
      await new Promise((resolve) => socket.once("close", resolve));
    },
  };
}

function option(number: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(number, 0);
  head.writeUInt32BE(data.length, 4);
  return Buffer.concat([OPTION_MAGIC, head, data]);
}

function request(command = 0, offset = 0, length = 0): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(command, 6);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}
