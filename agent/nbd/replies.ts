import { byteLength, u16, u32, u64 } from "./fields.js";
import { ERRNO, REPLY, REPLY_DONE, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC } from "./protocol.js";
import type { Request } from "./request.js";
import type { SocketWriter } from "./socket-writer.js";
import type { Extent, VolumeReader } from "./volume-reader.js";

/**
 * Answers the requests of a connection with simple replies, or structured ones if the client supports them.
 */
interface Replies {
  /** Sends the requested range, or reports why it cannot be read. Keeps one chunk in memory. */
  data(request: Request): Promise<void>;
  success(request: Request): Promise<void>;
  error(request: Request, errno: number, message: string): Promise<void>;
}

const ZEROS = Buffer.alloc(256 * 1024);
/** Below the maximum length of strings ("Protocol phases"); errors need far less. */
const MAX_MESSAGE_BYTES = 1024;

/** "Simple reply message": an error number, or zero and all the data. */
export class SimpleReplies implements Replies {
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
export class StructuredReplies implements Replies {
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
    extents: Extent[],
    { context, state }: { context: number; state: Record<Extent["kind"], number> },
  ): Promise<void> {
    const descriptors = extents.flatMap(({ kind, length }) => [u32(length), u32(state[kind])]);
    return this.send(request, REPLY.blockStatus, REPLY_DONE, u32(context), ...descriptors);
  }

  /** Ends a reply, parts of which may have been sent, with the offset that cannot be read. */
  private failure(request: Request, { offset }: Extent, error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
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
