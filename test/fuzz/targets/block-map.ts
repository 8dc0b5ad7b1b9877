import assert from "node:assert/strict";
import { type BlockMapLosses, loadBlockMap } from "../../../repository/format/block-map.js";
import { CHUNK_ID_BYTES, chunkCount, INDEX_ENTRY_BYTES } from "../../../repository/format/chunk.js";
import { MAX_VOLUME_BYTES } from "../../../repository/format/recovery-point.js";
import { ChunkIndex } from "../../../repository/index/chunk-index.js";
import { loadIndex } from "../../../repository/index/load-index.js";
import { copySample } from "../sample.js";
import { type FuzzTarget, isForeseen } from "../target.js";

const HEAD_BYTES = 12;
const ROOT = Buffer.alloc(CHUNK_ID_BYTES, 0x11);
const CHILD = Buffer.alloc(CHUNK_ID_BYTES, 0x22);

/**
 * Block maps. An input is the size of the volume (u64), the size of the root in bytes (u32), the root, and a
 * node that the root may name. The nodes' ids are already verified.
 */
export async function blockMapTarget(folder: string): Promise<FuzzTarget> {
  const name = "block map";
  const { storage } = await copySample(folder, "plain", name);
  const known = (await loadIndex(storage, { condemned: "last" })).index;
  const index = ChunkIndex.create(known.size + 3);
  for (const id of [ROOT, CHILD]) index.insert(Buffer.concat([id, Buffer.alloc(INDEX_ENTRY_BYTES)]), 0);
  for (let entry = 0; entry < known.size; entry++) {
    index.insert(Buffer.concat([known.id(entry), Buffer.alloc(INDEX_ENTRY_BYTES)]), 0);
  }
  const chunkIds = Buffer.concat([known.id(0), Buffer.alloc(CHUNK_ID_BYTES), known.id(1)]);
  return {
    name,
    seeds: [
      mapOf(3 * 2 ** 19, chunkIds, Buffer.alloc(0)),
      mapOf(2 ** 30 + 1, Buffer.concat([CHILD, known.id(1)]), Buffer.concat(Array(2048).fill(known.id(0)))),
    ],
    run: async (input) => {
      if (input.length < HEAD_BYTES) return;
      const sizeBytes = Number(input.readBigUInt64LE(0));
      if (sizeBytes > MAX_VOLUME_BYTES) return;
      const count = chunkCount(sizeBytes);
      const childAt = HEAD_BYTES + input.readUInt32LE(8);
      const read = async (entry: number) => {
        const isRoot = index.id(entry).equals(ROOT);
        return isRoot ? input.subarray(HEAD_BYTES, childAt) : input.subarray(childAt);
      };
      const losses: BlockMapLosses = {
        onMissingChunk: (position) => assert.ok(position < count),
        onMissingNode: (position, length, error) => {
          assert.ok(isForeseen(error), String(error));
          assert.ok(position + length <= count && length > 0);
        },
      };
      const chunks = await loadBlockMap(ROOT, count, { index, read }, losses);
      assert.equal(chunks.count, count);
    },
  };
}

function mapOf(sizeBytes: number, root: Buffer, child: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeBigUInt64LE(BigInt(sizeBytes), 0);
  head.writeUInt32LE(root.length, 8);
  return Buffer.concat([head, root, child]);
}
