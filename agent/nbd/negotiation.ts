import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import type { Connection, Session, SocketWriter } from "./connection.js";
import {
  BASE_ALLOCATION,
  byteLength,
  GREETING_MAGIC,
  HANDSHAKE,
  INFO,
  MAX_PAYLOAD_BYTES,
  MAX_STRING_BYTES,
  OPTION,
  OPTION_MAGIC,
  OPTION_REPLY,
  OPTION_REPLY_MAGIC,
  TRANSMISSION,
  u16,
  u32,
  u64,
} from "./protocol.js";

const FLAGS = HANDSHAKE.fixedNewstyle | HANDSHAKE.noZeroes;
/** The longest option has a name and a few more words. */
const MAX_OPTION_BYTES = 16 * 1024;
/** "NBD_OPT_EXPORT_NAME": its answer ends in zeros, unless the client asks to leave them out. */
const EXPORT_NAME_ZEROES = 124;

/**
 * Runs the handshake phase, fixed newstyle (proto.md, "Fixed newstyle negotiation").
 * @returns undefined if the connection must be closed: the client ended it, or violates the protocol
 */
export async function shakeHands(connection: Connection, volume: NbdExport): Promise<Session | undefined> {
  const greeting = Buffer.alloc(18);
  greeting.writeBigUInt64BE(GREETING_MAGIC, 0);
  greeting.writeBigUInt64BE(OPTION_MAGIC, 8);
  greeting.writeUInt16BE(FLAGS, 16);
  await connection.writer.write(greeting);
  const clientFlags = (await connection.reader.read(4))?.readUInt32BE();
  if (clientFlags === undefined || clientFlags > FLAGS) return undefined;
  const zeroes = (clientFlags & HANDSHAKE.noZeroes) === 0 ? EXPORT_NAME_ZEROES : 0;
  const answers = new OptionAnswers(connection.writer, volume, zeroes);
  let next: Next = "option";
  while (next === "option") next = await answerNext(connection, answers);
  return next === "transmission" ? answers.session : undefined;
}

async function answerNext({ reader }: Connection, answers: OptionAnswers): Promise<Next> {
  const header = await reader.read(16);
  if (header === undefined || header.readBigUInt64BE(0) !== OPTION_MAGIC) return "close";
  const option = header.readUInt32BE(8);
  const length = header.readUInt32BE(12);
  if (length > MAX_OPTION_BYTES) {
    await answers.reply(option, OPTION_REPLY.tooBig);
    return "close";
  }
  const data = await reader.read(length);
  return data === undefined ? "close" : answers.answer(option, data);
}

/** The served volume, under its name and as the default export. */
export interface NbdExport {
  name: string;
  description: string;
  sizeBytes: number;
}

/** What follows an option: the next one, or one of the two ends of the handshake. */
type Next = "option" | "transmission" | "close";

/** Answers a client's options (proto.md, "Option types"), and keeps the agreed session. */
class OptionAnswers {
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

/** The data of NBD_OPT_INFO or NBD_OPT_GO. */
interface InfoRequest {
  name: string;
  /** Kinds of information wanted (NBD_INFO_*). */
  infos: number[];
}

/** The data of NBD_OPT_LIST_META_CONTEXT or NBD_OPT_SET_META_CONTEXT. */
interface ContextRequest {
  name: string;
  queries: string[];
}

/** @returns undefined if the data are malformed */
function parseInfoRequest(data: Buffer): InfoRequest | undefined {
  const cursor = new Cursor(data);
  const name = cursor.string();
  const count = cursor.u16();
  const infos: number[] = [];
  for (let left = count; left > 0 && cursor.isGood; left--) infos.push(cursor.u16());
  return cursor.isComplete ? { name, infos } : undefined;
}

/** @returns undefined if the data are malformed */
function parseContextRequest(data: Buffer): ContextRequest | undefined {
  const cursor = new Cursor(data);
  const name = cursor.string();
  const count = cursor.u32();
  const queries: string[] = [];
  for (let left = count; left > 0 && cursor.isGood; left--) queries.push(cursor.string());
  return cursor.isComplete ? { name, queries } : undefined;
}

/** Reads fields one after the other. Past the end it returns zeros, and `isGood` becomes false. */
class Cursor {
  private at = 0;
  isGood = true;

  constructor(private readonly data: Buffer) {}

  /** Whether every field was present and nothing is left. */
  get isComplete(): boolean {
    return this.isGood && this.at === this.data.length;
  }

  u16(): number {
    return this.take(2)?.readUInt16BE() ?? 0;
  }

  u32(): number {
    return this.take(4)?.readUInt32BE() ?? 0;
  }

  string(): string {
    const length = this.u32();
    if (length > MAX_STRING_BYTES) this.isGood = false;
    return this.take(length)?.toString("utf8") ?? "";
  }

  private take(length: number): Buffer | undefined {
    this.isGood &&= this.at + length <= this.data.length;
    if (!this.isGood) return undefined;
    this.at += length;
    return this.data.subarray(this.at - length, this.at);
  }
}
