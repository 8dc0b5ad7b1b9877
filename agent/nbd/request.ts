import type { ByteRange } from "../../native-free-io/byte-range.js";
import { COMMAND, COMMAND_FLAG, MAX_PAYLOAD_BYTES, REQUEST_MAGIC } from "./protocol.js";

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
export function parseRequest(header: Buffer): Request | undefined {
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
