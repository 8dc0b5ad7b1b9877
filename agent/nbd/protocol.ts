import type { ByteRange } from "../../native-free-io/data-ranges.js";

/**
 * The numbers of the NBD protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md,
 * section "Values".
 * All integers are big-endian.
 */

/** "NBDMAGIC" and "IHAVEOPT", the greeting of a newstyle server. */
export const GREETING_MAGIC = 0x4e42444d41474943n;
export const OPTION_MAGIC = 0x49484156454f5054n;
export const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;

/** "Handshake flags"; the client's have the same meaning. */
export const HANDSHAKE = { fixedNewstyle: 1 << 0, noZeroes: 1 << 1 } as const;

/** "Transmission flags". */
export const TRANSMISSION = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  multiConn: 1 << 8,
  sendCache: 1 << 10,
} as const;

/** "Option types". */
export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

/** "Option reply types". */
export const OPTION_REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 2 ** 31 + 1,
  invalid: 2 ** 31 + 3,
  unknown: 2 ** 31 + 6,
  tooBig: 2 ** 31 + 9,
} as const;

/** "Option reply types", NBD_REP_INFO. */
export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** "Request types". */
export const COMMAND = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

/** "Command flags". Some clients set FUA on commands that write nothing, so it is ignored everywhere. */
export const COMMAND_FLAG = { fua: 1 << 0, reqOne: 1 << 3 } as const;

/** "Structured reply flags". */
export const REPLY_DONE = 1 << 0;

/** "Structured reply types". */
export const REPLY = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 2 ** 15 + 1,
  errorOffset: 2 ** 15 + 2,
} as const;

/**
 * "Error values". EOVERFLOW applies only to unfragmented reads, which are not offered; a range too large gets
 * EINVAL.
 */
export const ERRNO = { perm: 1, io: 5, invalid: 22 } as const;

/** "Metadata contexts": the only one served, with an id chosen by the server. */
export const BASE_ALLOCATION = { name: "base:allocation", id: 1 } as const;

/** "The `base:allocation` context": the state of an extent. */
export const STATE = { data: 0, hole: (1 << 0) | (1 << 1) } as const;

/** "Block size constraints": a client that got none must be able to read and write this much at once. */
export const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;

/** "Protocol phases": the maximum length of strings. */
export const MAX_STRING_BYTES = 4096;

/** Integers in the encoding of NBD, big-endian. */
export function u16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function u64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** Returns the total length of a message's pieces. */
export function byteLength(pieces: Buffer[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

export const REQUEST_BYTES = 28;

/** A client's request about a range of the volume (proto.md, "Request message"). */
export interface Request extends ByteRange {
  flags: number;
  command: number;
  /** The client's own id of the request, repeated in its replies. */
  cookie: bigint;
}

/**
 * @returns undefined if this is not a request: the client has lost its place in the stream, or never had one
 */
export function parseNbdRequest(header: Buffer): Request | undefined {
  if (header.readUInt32BE(0) !== REQUEST_MAGIC) return undefined;
  return {
    flags: header.readUInt16BE(4),
    command: header.readUInt16BE(6),
    cookie: header.readBigUInt64BE(8),
    // An offset that a number cannot hold exactly is far beyond any volume.
    offset: Number(header.readBigUInt64BE(16)),
    length: header.readUInt32BE(24),
  };
}

/** Returns the fault in a request for a range of the volume; undefined if there is none. */
export function findFault(
  { command, flags, offset, length }: Request,
  sizeBytes: number,
): string | undefined {
  const isStatus = command === COMMAND.blockStatus;
  const known = isStatus ? COMMAND_FLAG.fua | COMMAND_FLAG.reqOne : COMMAND_FLAG.fua;
  if ((flags & ~known) !== 0) return `unknown command flags in ${flags}`;
  if (length === 0) return "the range is empty";
  if (offset + length > sizeBytes) return `the volume ends at byte ${sizeBytes}`;
  if (length > MAX_PAYLOAD_BYTES && !isStatus) return `no more than ${MAX_PAYLOAD_BYTES} bytes at once`;
  return undefined;
}
