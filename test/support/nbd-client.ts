import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after } from "node:test";
import { SocketReader } from "../../agent/nbd/connection.js";
import { OPTION_MAGIC, OPTION_REPLY, OPTION_REPLY_MAGIC, REQUEST_MAGIC } from "../../agent/nbd/protocol.js";

interface OptionReply {
  type: number;
  data: Buffer;
}

/** A request whose fields the test chooses; they may be invalid. */
interface RawRequest {
  magic?: number;
  flags?: number;
  command: number;
  cookie?: bigint;
  offset?: bigint;
  length?: number;
}

interface StructuredChunk {
  flags: number;
  type: number;
  cookie: bigint;
  payload: Buffer;
}

/**
 * An NBD client that sends exactly the bytes that a test gives it. Its connection ends at the latest with the
 * test.
 */
export class NbdClient {
  private readonly reader: SocketReader;

  private constructor(readonly socket: Socket) {
    socket.on("error", () => undefined);
    this.reader = new SocketReader(socket);
    after(() => socket.destroy());
  }

  /** Connects to a server. @param to the path of a socket, or a port on this machine */
  static async connect(to: string | number): Promise<NbdClient> {
    const socket = typeof to === "string" ? connect(to) : connect(to, "127.0.0.1");
    await once(socket, "connect");
    return new NbdClient(socket);
  }

  /** Reads the greeting and answers it. @param flags of the client: fixed newstyle, no zeroes */
  async greet(flags = 3): Promise<void> {
    assert.equal((await this.take(18)).toString("latin1", 0, 16), "NBDMAGICIHAVEOPT");
    this.send(u32(flags));
  }

  /** Connects and negotiates up to the transmission phase. */
  static async negotiate(to: string | number, replies: "simple" | "structured"): Promise<NbdClient> {
    const client = await NbdClient.connect(to);
    await client.greet();
    if (replies === "structured") {
      await client.option(8);
      await client.option(10, contextQuery("", "base:allocation"));
    }
    const answers = await client.option(7, infoRequest(""));
    assert.equal(answers.at(-1)?.type, OPTION_REPLY.ack);
    return client;
  }

  /** Sends an option. @returns the replies, up to and including the final one */
  async option(option: number, data: Buffer = Buffer.alloc(0)): Promise<OptionReply[]> {
    this.sendOption(option, data.length, data);
    const replies: OptionReply[] = [];
    for (;;) {
      const header = await this.take(20);
      assert.equal(header.readBigUInt64BE(0), OPTION_REPLY_MAGIC);
      assert.equal(header.readUInt32BE(8), option);
      const type = header.readUInt32BE(12);
      replies.push({ type, data: await this.take(header.readUInt32BE(16)) });
      if (type === OPTION_REPLY.ack || type >= 2 ** 31) return replies;
    }
  }

  sendOption(option: number, length: number, data: Buffer = Buffer.alloc(0)): void {
    this.send(u64(OPTION_MAGIC), u32(option), u32(length), data);
  }

  request({
    magic = REQUEST_MAGIC,
    flags = 0,
    command,
    cookie = 7n,
    offset = 0n,
    length = 0,
  }: RawRequest): void {
    this.send(u32(magic), u16(flags), u16(command), u64(cookie), u64(offset), u32(length));
  }

  /** Reads a simple reply. @param dataBytes length of the data that follow a reply without an error */
  async simpleReply(dataBytes = 0): Promise<{ error: number; cookie: bigint; data: Buffer }> {
    const header = await this.take(16);
    assert.equal(header.readUInt32BE(0), 0x67446698);
    const error = header.readUInt32BE(4);
    return { error, cookie: header.readBigUInt64BE(8), data: await this.take(error === 0 ? dataBytes : 0) };
  }

  /** Reads all chunks of the next reply; for clients with one request at a time. */
  async structuredReply(): Promise<StructuredChunk[]> {
    const chunks: StructuredChunk[] = [];
    for (;;) {
      const header = await this.take(20);
      assert.equal(header.readUInt32BE(0), 0x668e33ef);
      const flags = header.readUInt16BE(4);
      const payload = await this.take(header.readUInt32BE(16));
      chunks.push({ flags, type: header.readUInt16BE(6), cookie: header.readBigUInt64BE(8), payload });
      if ((flags & 1) !== 0) return chunks;
    }
  }

  send(...pieces: Buffer[]): void {
    this.socket.write(Buffer.concat(pieces));
  }

  /** Waits until the server ends the connection, and discards the bytes that still arrive. */
  async ended(): Promise<void> {
    while ((await this.reader.read(1)) !== undefined);
  }

  /** Reads `length` bytes. @throws when the server ends the connection before */
  async take(length: number): Promise<Buffer> {
    const bytes = await this.reader.read(length);
    assert.ok(bytes !== undefined, `the server ended the connection where ${length} bytes belong`);
    return bytes;
  }
}

/** Returns the data of NBD_OPT_INFO and NBD_OPT_GO. */
export function infoRequest(name: string, ...infos: number[]): Buffer {
  return Buffer.concat([string(name), u16(infos.length), ...infos.map(u16)]);
}

/** Returns the data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
export function contextQuery(name: string, ...queries: string[]): Buffer {
  return Buffer.concat([string(name), u32(queries.length), ...queries.map(string)]);
}

function string(text: string): Buffer {
  return Buffer.concat([u32(Buffer.byteLength(text)), Buffer.from(text)]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}
