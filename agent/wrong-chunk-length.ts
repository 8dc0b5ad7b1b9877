import { BlockferryError } from "../foundation/blockferry-error.js";
import { CHUNK_BYTES } from "../repository/chunk-id.js";
import type { ChunkRecord } from "../repository/chunk-record.js";

/** A sound chunk stands where one of another length belongs. @param position chunk number in the volume */
export function wrongChunkLength({ id, rawBytes }: ChunkRecord, position: number): BlockferryError {
  const offset = position * CHUNK_BYTES;
  return new BlockferryError({
    code: "ChunkCorrupt",
    message: `The block map names chunk ${id.toString("hex")} of ${rawBytes} bytes at byte ${offset}, where a chunk of another length belongs.`,
    remedy: "The recovery point was not written by a sound version of blockferry; report this as a bug.",
    object: id.toString("hex"),
    offset,
  });
}
