import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import type { Connection, Session } from "./connection.js";
import { byteLength, u16, u32, u64 } from "./fields.js";
import { parseContextRequest, parseInfoRequest } from "./option-data.js";
import {
  BASE_ALLOCATION,
  GREETING_MAGIC,
  HANDSHAKE,
  INFO,
  MAX_PAYLOAD_BYTES,
  OPTION,
  OPTION_MAGIC,
  OPTION_REPLY,
  OPTION_REPLY_MAGIC,
  TRANSMISSION,
} from "./protocol.js";

/** The longest option has a name, and a few words beside it. */
const MAX_OPTION_BYTES = 16 * 1024;
/** Unused bytes at the end of the answer to NBD_OPT_EXPORT_NAME, unless the client asks to leave them out. */
const EXPORT_NAME_ZEROES = 124;

/** What is served: one volume, under its name and as the default export. */
export interface NbdExport {
  name: string;
  description: string;
  sizeBytes: number;
}

/**
 * The handshake phase, fixed newstyle (proto.md, "Fixed newstyle negotiation").
 * @returns undefined when the connection is to be closed: the client ended it, or does not keep to the protocol
 */
export async function shakeHands(connection: Connection, volume: NbdExport): Promise<Session | undefined> {
  const greeting = Buffer.alloc(18);
  greeting.writeBigUInt64BE(GREETING_MAGIC, 0);
  greeting.writeBigUInt64BE(OPTION_MAGIC, 8);
  greeting.writeUInt16BE(HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes, 16);
  await connection.writer.write(greeting);
  const clientFlags = (await connection.reader.read(4))?.readUInt32BE();
  if (clientFlags === undefined || clientFlags > (HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes))
    return undefined;
  const zeroes = (clientFlags & HANDSHAKE.noZeroes) === 0 ? EXPORT_NAME_ZEROES : 0;
  return new OptionHaggling(connection, volume, zeroes).run();
}

/** What comes after an option: the next one, or one of the two ends of the handshake. */
type Next = "option" | "transmission" | "close";

class OptionHaggling {
  private readonly session: Session = { replies: "simple", hasBlockStatus: false };

  constructor(
    private readonly connection: Connection,
    private readonly volume: NbdExport,
    private readonly exportNameZeroes: number,
  ) {}

  async run(): Promise<Session | undefined> {
    let next: Next = "option";
    while (next === "option") next = await this.nextOption();
    return next === "transmission" ? this.session : undefined;
  }

  private async nextOption(): Promise<Next> {
    const header = await this.connection.reader.read(16);
    if (header === undefined || header.readBigUInt64BE(0) !== OPTION_MAGIC) return "close";
    const option = header.readUInt32BE(8);
    const length = header.readUInt32BE(12);
    if (length > MAX_OPTION_BYTES) {
      await this.reply(option, OPTION_REPLY.tooBig);
      return "close";
    }
    const data = await this.connection.reader.read(length);
    return data === undefined ? "close" : this.answer(option, data);
  }

  private async answer(option: number, data: Buffer): Promise<Next> {
    switch (option) {
      case OPTION.exportName:
        return this.exportName(data.toString("utf8"));
      case OPTION.abort:
        await this.reply(option, OPTION_REPLY.ack);
        return "close";
      case OPTION.list:
        return this.list(option, data);
      case OPTION.info:
      case OPTION.go:
        return this.info(option, data);
      case OPTION.structuredReply:
        if (data.length > 0) return this.refuse(option, OPTION_REPLY.invalid);
        this.session.replies = "structured";
        return this.acknowledge(option);
      case OPTION.listMetaContext:
      case OPTION.setMetaContext:
        return this.metaContext(option, data);
      default:
        return this.refuse(option, OPTION_REPLY.unsupported);
    }
  }

  /** Knows no error reply: a client that asks for something else is cut off. */
  private async exportName(name: string): Promise<Next> {
    if (!this.isServed(name)) return "close";
    const zeroes = Buffer.alloc(this.exportNameZeroes);
    await this.connection.writer.write(u64(this.volume.sizeBytes), u16(TRANSMISSION_FLAGS), zeroes);
    return "transmission";
  }

  private async list(option: number, data: Buffer): Promise<Next> {
    if (data.length > 0) return this.refuse(option, OPTION_REPLY.invalid);
    const name = Buffer.from(this.volume.name);
    await this.reply(
      option,
      OPTION_REPLY.server,
      u32(name.length),
      name,
      Buffer.from(this.volume.description),
    );
    return this.acknowledge(option);
  }

  private async info(option: number, data: Buffer): Promise<Next> {
    const request = parseInfoRequest(data);
    if (request === undefined) return this.refuse(option, OPTION_REPLY.invalid);
    if (!this.isServed(request.name)) return this.refuse(option, OPTION_REPLY.unknown);
    const { name, description, sizeBytes } = this.volume;
    await this.reply(option, OPTION_REPLY.info, u16(INFO.export), u64(sizeBytes), u16(TRANSMISSION_FLAGS));
    await this.reply(
      option,
      OPTION_REPLY.info,
      u16(INFO.blockSize),
      ...[1, CHUNK_BYTES, MAX_PAYLOAD_BYTES].map(u32),
    );
    if (request.infos.includes(INFO.name)) {
      await this.reply(option, OPTION_REPLY.info, u16(INFO.name), Buffer.from(name));
    }
    if (request.infos.includes(INFO.description)) {
      await this.reply(option, OPTION_REPLY.info, u16(INFO.description), Buffer.from(description));
    }
    await this.reply(option, OPTION_REPLY.ack);
    return option === OPTION.go ? "transmission" : "option";
  }

  /** A list may ask for a whole namespace, `base:`, or for everything, by no query at all; a selection names contexts. */
  private async metaContext(option: number, data: Buffer): Promise<Next> {
    const request = parseContextRequest(data);
    if (request === undefined || this.session.replies === "simple")
      return this.refuse(option, OPTION_REPLY.invalid);
    if (!this.isServed(request.name)) return this.refuse(option, OPTION_REPLY.unknown);
    const isSelection = option === OPTION.setMetaContext;
    const { queries } = request;
    const matches =
      queries.includes(BASE_ALLOCATION.name) ||
      (!isSelection && (queries.length === 0 || queries.includes("base:")));
    if (isSelection) this.session.hasBlockStatus = matches;
    if (matches) {
      const id = u32(isSelection ? BASE_ALLOCATION.id : 0);
      await this.reply(option, OPTION_REPLY.metaContext, id, Buffer.from(BASE_ALLOCATION.name));
    }
    return this.acknowledge(option);
  }

  /** The empty name is the default export. */
  private isServed(name: string): boolean {
    return name === "" || name === this.volume.name;
  }

  private async acknowledge(option: number): Promise<Next> {
    await this.reply(option, OPTION_REPLY.ack);
    return "option";
  }

  private async refuse(option: number, type: number): Promise<Next> {
    await this.reply(option, type);
    return "option";
  }

  private async reply(option: number, type: number, ...data: Buffer[]): Promise<void> {
    const header = Buffer.alloc(20);
    header.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
    header.writeUInt32BE(option, 8);
    header.writeUInt32BE(type, 12);
    header.writeUInt32BE(byteLength(data), 16);
    await this.connection.writer.write(header, ...data);
  }
}

/** All connections see the same, which never changes. */
const TRANSMISSION_FLAGS =
  TRANSMISSION.hasFlags | TRANSMISSION.readOnly | TRANSMISSION.multiConn | TRANSMISSION.sendCache;
