import { BlockferryError } from "../foundation/blockferry-error.js";
import { CHUNK_BYTES } from "../repository/chunk-id.js";

/**
 * Describes a proven chunk at a position that needs a chunk of another length.
 * @param position chunk number in the volume
 */
export function wrongChunkLength(id: Buffer, lengthBytes: number, position: number): BlockferryError {
  const offset = position * CHUNK_BYTES;
  return new BlockferryError({
    code: "ChunkCorrupt",
    message: `The block map names chunk ${id.toString("hex")} of ${lengthBytes} bytes at byte ${offset}, where a chunk of another length belongs.`,
    remedy: "The recovery point was not written by a sound version of blockferry; report this as a bug.",
    object: id.toString("hex"),
    offset,
  });
}
