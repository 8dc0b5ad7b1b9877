import assert from "node:assert/strict";
import {
  CHUNK_BYTES,
  CHUNK_RECORD_BYTES,
  readChunkRecord,
  writeChunkRecord,
} from "../../../repository/format/chunk.js";
import { checkStoredBytes, decodeChunk } from "../../../repository/format/chunk-codec.js";
import { packKey } from "../../../repository/format/pack.js";
import { loadIndex } from "../../../repository/index/load-index.js";
import { copySample, type SampleKind } from "../sample.js";
import { type FuzzTarget, tolerate } from "../target.js";

const GUARD_BYTES = 4096;
const UNTOUCHED = 0xa5;

/**
 * Chunks. An input is a record and its bytes before encryption. Decoding must not write past its buffer: the
 * bytes after it belong to another chunk, and LZ4 is written in C.
 */
export async function chunkTarget(folder: string, kind: SampleKind): Promise<FuzzTarget> {
  const name = `chunk, ${kind}`;
  const { storage } = await copySample(folder, kind, name);
  const { index, packs } = await loadIndex(storage, { condemned: "last" });
  const { cipher } = storage;
  const seeds: Buffer[] = [];
  for (let entry = 0; entry < index.size; entry++) {
    const record = index.record(entry);
    const id = packs.id(index.packNumber(entry));
    const range = { offset: record.offset, length: record.storedBytes };
    const payload = cipher
      .pack(id)
      .decrypt("chunk", await storage.get(packKey(id), { range }), record.offset);
    const bytes = Buffer.alloc(CHUNK_RECORD_BYTES);
    writeChunkRecord(record, bytes, 0);
    seeds.push(Buffer.concat([bytes, payload as Buffer]));
  }
  const memory = Buffer.alloc(CHUNK_BYTES + GUARD_BYTES);
  const untouched = Buffer.alloc(memory.length, UNTOUCHED);
  const packId = packs.id(0);
  return {
    name,
    seeds,
    run: async (input) => {
      if (input.length < CHUNK_RECORD_BYTES) return;
      const stored = Buffer.alloc(input.length - CHUNK_RECORD_BYTES + cipher.layout.tagBytes);
      input.copy(stored, 0, CHUNK_RECORD_BYTES);
      const record = { ...readChunkRecord(input, 0), storedBytes: stored.length };
      const end = stored.length - cipher.layout.tagBytes;
      cipher.pack(packId).encrypt("chunk", stored, { start: 0, end }, record.offset);
      await tolerate(() => checkStoredBytes(record, packId, stored, cipher));
      untouched.copy(memory);
      try {
        decodeChunk(record, packId, stored, memory.subarray(0, CHUNK_BYTES), cipher);
      } finally {
        const allowed = Math.min(record.rawBytes, CHUNK_BYTES);
        assert.ok(memory.subarray(allowed).equals(untouched.subarray(allowed)), "it wrote past its memory");
      }
    },
  };
}
