import { systemErrorMessage } from "../../foundation/errors.js";
import type { Connection, Session, SocketWriter } from "./connection.js";
import {
  BASE_ALLOCATION,
  byteLength,
  COMMAND,
  COMMAND_FLAG,
  ERRNO,
  findFault,
  MAX_PAYLOAD_BYTES,
  parseNbdRequest,
  REPLY,
  REPLY_DONE,
  REQUEST_BYTES,
  type Request,
  SIMPLE_REPLY_MAGIC,
  STATE,
  STRUCTURED_REPLY_MAGIC,
  u16,
  u32,
  u64,
} from "./protocol.js";
import type { MappedExtent, VolumeReader } from "./volume-reader.js";

/**
 * Requests of one connection that are answered at once.
 * Each keeps one chunk in memory while the client takes it, 8 MiB in all. While this many wait for a slow
 * client, no further request is read.
 */
const REQUESTS_IN_FLIGHT = 16;
/** Extents in one answer, which take 32 KiB. The client asks again for the rest. */
const MAX_EXTENTS = 4096;

/**
 * Runs the transmission phase (proto.md, "Transmission phase").
 * It answers requests, several at once and in any order, until the client ends it or loses its place in the
 * stream.
 */
export async function transmit(
  connection: Connection,
  session: Session,
  volume: VolumeReader,
): Promise<void> {
  const answerer = new Answerer(connection, session, volume);
  const inFlight = new Set<Promise<void>>();
  for (;;) {
    if (inFlight.size >= REQUESTS_IN_FLIGHT) await Promise.race(inFlight);
    const request = await nextRequest(connection);
    if (request === undefined) break;
    const answered: Promise<void> = answerer
      .answer(request)
      .catch(() => connection.cut())
      .finally(() => inFlight.delete(answered));
    inFlight.add(answered);
  }
  await Promise.all(inFlight);
}

/** @returns undefined at the end. Data that a client tries to write are discarded. */
async function nextRequest({ reader }: Connection): Promise<Request | undefined> {
  const header = await reader.read(REQUEST_BYTES);
  const request = header === undefined ? undefined : parseNbdRequest(header);
  if (request === undefined || request.command === COMMAND.disconnect) return undefined;
  if (request.command !== COMMAND.write) return request;
  const isTaken = request.length <= MAX_PAYLOAD_BYTES && (await reader.discard(request.length));
  return isTaken ? request : undefined;
}

class Answerer {
  private readonly replies: SimpleReplies | StructuredReplies;

  constructor(
    { writer }: Connection,
    private readonly session: Session,
    private readonly volume: VolumeReader,
  ) {
    this.replies =
      session.replies === "structured"
        ? new StructuredReplies(writer, volume)
        : new SimpleReplies(writer, volume);
  }

  /** @throws if the connection cannot continue */
  answer(request: Request): Promise<void> {
    switch (request.command) {
      case COMMAND.read:
        return this.ifSound(request, () => this.replies.data(request));
      case COMMAND.blockStatus:
        return this.ifSound(request, () => this.blockStatus(request));
      case COMMAND.cache:
        return this.ifSound(request, () => this.cache(request));
      case COMMAND.flush:
        return this.replies.success(request);
      case COMMAND.write:
      case COMMAND.trim:
      case COMMAND.writeZeroes:
        return this.replies.error(request, ERRNO.perm, "a recovery point is read-only");
      default:
        return this.replies.error(request, ERRNO.invalid, `unknown command ${request.command}`);
    }
  }

  private ifSound(request: Request, answer: () => Promise<void>): Promise<void> {
    const fault = findFault(request, this.volume.sizeBytes);
    return fault === undefined ? answer() : this.replies.error(request, ERRNO.invalid, fault);
  }

  private async blockStatus(request: Request): Promise<void> {
    if (!(this.replies instanceof StructuredReplies) || !this.session.hasBlockStatus) {
      return this.replies.error(request, ERRNO.invalid, `${BASE_ALLOCATION.name} was not negotiated`);
    }
    const limit = (request.flags & COMMAND_FLAG.reqOne) === 0 ? MAX_EXTENTS : 1;
    const extents: MappedExtent[] = [];
    for (const extent of this.volume.extents(request)) {
      extents.push(extent);
      if (extents.length === limit) break;
    }
    await this.replies.extents(request, extents, { context: BASE_ALLOCATION.id, state: STATE });
  }

  /** The client will read the range, and gets the error of a damaged part then. */
  private async cache(request: Request): Promise<void> {
    await this.volume.prove(request).catch(() => undefined);
    await this.replies.success(request);
  }
}

/**
 * Answers the requests of a connection with simple replies, or structured ones if the client supports them.
 */
interface ReplyWriter {
  /** Sends the requested range, or reports why it cannot be read. Keeps one chunk in memory. */
  data(request: Request): Promise<void>;
  success(request: Request): Promise<void>;
  error(request: Request, errno: number, message: string): Promise<void>;
}

const ZEROS = Buffer.alloc(256 * 1024);
/** Below the maximum length of strings ("Protocol phases"); errors need far less. */
const MAX_MESSAGE_BYTES = 1024;

/** "Simple reply message": an error number, or zero and all the data. */
class SimpleReplies implements ReplyWriter {
  constructor(
    private readonly writer: SocketWriter,
    private readonly volume: VolumeReader,
  ) {}

  /**
   * Sends the requested range, proven before the first byte.
   * An error can be reported only before that byte. So everything is proven first, and read again when it is
   * sent, mostly from the cache. If that read fails, the connection ends, as the protocol requires.
   */
  async data(request: Request): Promise<void> {
    try {
      await this.volume.prove(request);
    } catch {
      return this.error(request, ERRNO.io);
    }
    await this.writer.exclusively(async (write) => {
      await write(simpleReply(request, 0));
      for (const piece of this.volume.pieces(request)) {
        if (piece.kind === "data") await write(await this.volume.read(piece));
        else await writeZeros(write, piece.length);
      }
    });
  }

  success(request: Request): Promise<void> {
    return this.writer.write(simpleReply(request, 0));
  }

  error(request: Request, errno: number): Promise<void> {
    return this.writer.write(simpleReply(request, errno));
  }
}

/** "Structured reply chunk message": one per piece of data or hole, and errors with a message. */
class StructuredReplies implements ReplyWriter {
  constructor(
    private readonly writer: SocketWriter,
    private readonly volume: VolumeReader,
  ) {}

  async data(request: Request): Promise<void> {
    const end = request.offset + request.length;
    for (const piece of this.volume.pieces(request)) {
      const flags = piece.offset + piece.length === end ? REPLY_DONE : 0;
      if (piece.kind === "hole") {
        await this.send(request, REPLY.offsetHole, flags, u64(piece.offset), u32(piece.length));
        continue;
      }
      let data: Buffer;
      try {
        data = await this.volume.read(piece);
      } catch (error) {
        return this.failure(request, piece, error);
      }
      await this.send(request, REPLY.offsetData, flags, u64(piece.offset), data);
    }
  }

  success(request: Request): Promise<void> {
    return this.send(request, REPLY.none, REPLY_DONE);
  }

  error(request: Request, errno: number, message: string): Promise<void> {
    return this.send(request, REPLY.error, REPLY_DONE, errorPayload(errno, message));
  }

  /**
   * Answers NBD_CMD_BLOCK_STATUS.
   * @param context id of the metadata context
   * @param state state of each kind of extent
   */
  extents(
    request: Request,
    extents: MappedExtent[],
    { context, state }: { context: number; state: Record<MappedExtent["kind"], number> },
  ): Promise<void> {
    const descriptors = extents.flatMap(({ kind, length }) => [u32(length), u32(state[kind])]);
    return this.send(request, REPLY.blockStatus, REPLY_DONE, u32(context), ...descriptors);
  }

  /** Ends a reply, parts of which may have been sent, with the offset that cannot be read. */
  private failure(request: Request, { offset }: MappedExtent, error: unknown): Promise<void> {
    const message = systemErrorMessage(error);
    return this.send(request, REPLY.errorOffset, REPLY_DONE, errorPayload(ERRNO.io, message), u64(offset));
  }

  private send(request: Request, type: number, flags: number, ...payload: Buffer[]): Promise<void> {
    const header = Buffer.alloc(20);
    header.writeUInt32BE(STRUCTURED_REPLY_MAGIC, 0);
    header.writeUInt16BE(flags, 4);
    header.writeUInt16BE(type, 6);
    header.writeBigUInt64BE(request.cookie, 8);
    header.writeUInt32BE(byteLength(payload), 16);
    return this.writer.write(header, ...payload);
  }
}

function simpleReply({ cookie }: Request, errno: number): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32BE(SIMPLE_REPLY_MAGIC, 0);
  header.writeUInt32BE(errno, 4);
  header.writeBigUInt64BE(cookie, 8);
  return header;
}

async function writeZeros(write: (piece: Buffer) => Promise<void>, length: number): Promise<void> {
  for (let left = length; left > 0; left -= ZEROS.length) {
    await write(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
  }
}

/** Returns the error number and a message for people. */
function errorPayload(errno: number, message: string): Buffer {
  const text = Buffer.from(message).subarray(0, MAX_MESSAGE_BYTES);
  return Buffer.concat([u32(errno), u16(text.length), text]);
}
