import { CHUNK_BYTES } from "../../repository/chunk-id.js";
import type { Session } from "./connection.js";
import { byteLength, u16, u32, u64 } from "./fields.js";
import { parseContextRequest, parseInfoRequest } from "./option-data.js";
import {
  BASE_ALLOCATION,
  INFO,
  MAX_PAYLOAD_BYTES,
  OPTION,
  OPTION_REPLY,
  OPTION_REPLY_MAGIC,
  TRANSMISSION,
} from "./protocol.js";
import type { SocketWriter } from "./socket-writer.js";

/** The served volume, under its name and as the default export. */
export interface NbdExport {
  name: string;
  description: string;
  sizeBytes: number;
}

/** What follows an option: the next one, or one of the two ends of the handshake. */
export type Next = "option" | "transmission" | "close";

/** Answers a client's options (proto.md, "Option types"), and keeps the agreed session. */
export class OptionAnswers {
  readonly session: Session = { replies: "simple", hasBlockStatus: false };

  /** @param exportNameZeroes unused bytes at the end of the answer to NBD_OPT_EXPORT_NAME */
  constructor(
    private readonly writer: SocketWriter,
    private readonly volume: NbdExport,
    private readonly exportNameZeroes: number,
  ) {}

  /** Answers an option with all its data. */
  async answer(option: number, data: Buffer): Promise<Next> {
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

  /** This option has no error reply: a client that asks for another export is disconnected. */
  private async exportName(name: string): Promise<Next> {
    if (!this.isServed(name)) return "close";
    const zeroes = Buffer.alloc(this.exportNameZeroes);
    await this.writer.write(u64(this.volume.sizeBytes), u16(TRANSMISSION_FLAGS), zeroes);
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

  /**
   * A list request may ask for a namespace, `base:`, or for everything with no query; a selection names
   * contexts.
   */
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

  async reply(option: number, type: number, ...data: Buffer[]): Promise<void> {
    const header = Buffer.alloc(20);
    header.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
    header.writeUInt32BE(option, 8);
    header.writeUInt32BE(type, 12);
    header.writeUInt32BE(byteLength(data), 16);
    await this.writer.write(header, ...data);
  }
}

/** The same for all connections; it never changes. */
const TRANSMISSION_FLAGS =
  TRANSMISSION.hasFlags | TRANSMISSION.readOnly | TRANSMISSION.multiConn | TRANSMISSION.sendCache;
