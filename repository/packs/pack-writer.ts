import {
  CHUNK_BYTES,
  CHUNK_RECORD_BYTES,
  type ChunkRecord,
  ENCODING,
  PACK_HEADER_BYTES,
  writeChunkRecord,
} from "../format/chunk.js";
import { type Compression, encodeChunk, type PackCipher } from "../format/chunk-codec.js";
import type { IndexedPack } from "../format/index-segment.js";
import {
  ENCRYPTED_LAYOUT,
  MAX_CHUNKS_PER_PACK,
  newPackId,
  PACK_TRAILER_BYTES,
  packHeader,
  packKey,
  packTrailer,
} from "../format/pack.js";
import type { Storage, Upload } from "../storage/storage.js";
import { Crc32OfPieces, type PartChecksum, UNKNOWN_CRC32 } from "./crc32-of-pieces.js";

/** A pack is closed when it reaches this size. */
const PACK_BYTES = 64 * 1024 * 1024;

/**
 * A part buffer has room for a part and its overrun: one chunk, or the footer of a full pack,
 * each with its tag.
 */
const PART_OVERRUN_BYTES =
  Math.max(CHUNK_BYTES, MAX_CHUNKS_PER_PACK * CHUNK_RECORD_BYTES + PACK_TRAILER_BYTES) +
  ENCRYPTED_LAYOUT.tagBytes;

/** Part buffers of a writer: one is being filled, one is ready, the others are on their way to storage. */
export const PART_BUFFERS = 4;

export function partBufferBytes(storage: Storage): number {
  return storage.partBytes + PART_OVERRUN_BYTES;
}

interface PackWriterOptions {
  storage: Storage;
  compression: Compression;
  /**
   * `PART_BUFFERS` buffers of `partBufferBytes`; page-aligned buffers let the storage write without copying.
   */
  partBuffers: Buffer[];
  /** Called when a pack is durable. */
  onPack(pack: IndexedPack): void;
  /** Called when a part buffer is free again: `hasRoom` may be true now. */
  onRoom(): void;
  /** Called when a pack could not be stored. Chunks may be missing, so the run must not commit. */
  onFailure(error: unknown): void;
}

interface OpenPack {
  id: string;
  cipher: PackCipher;
  upload: Upload;
  sizeBytes: number;
  chunkCount: number;
}

/**
 * Collects chunks into packs and streams them to storage part by part. `append` never waits: the owner checks
 * `hasRoom` first and stops reading while it is false, which bounds memory at any speed of the storage.
 */
export class PackWriter {
  private readonly footer = Buffer.alloc(MAX_CHUNKS_PER_PACK * CHUNK_RECORD_BYTES);
  private readonly freeParts: Buffer[];
  private readonly inFlight = new Set<Promise<void>>();
  private readonly uploads = new Set<Upload>();
  private part: Buffer | undefined;
  private partUsed = 0;
  /**
   * CRC-32 of the current part, up to `partUsed`: joined from the CRC-32 of its chunks,
   * which are computed anyway.
   */
  private readonly partCrc32: PartChecksum;
  private aborted = false;
  private pack: OpenPack | undefined;

  constructor(private readonly options: PackWriterOptions) {
    this.freeParts = [...options.partBuffers];
    this.partCrc32 = options.storage.cipher.layout.tagBytes > 0 ? UNKNOWN_CRC32 : new Crc32OfPieces();
  }

  /** Whether the next `append` may be called: it can need the current part and one more. */
  get hasRoom(): boolean {
    return this.freeParts.length + (this.part === undefined ? 0 : 1) >= 2;
  }

  /** Adds a chunk to the open pack. @returns the bytes that it takes there */
  append(id: Buffer, payload: Buffer): number {
    const pack = this.pack ?? this.startPack();
    const part = this.currentPart();
    const start = this.partUsed;
    const encodedBytes = encodeChunk(payload, part, start, this.options.compression);
    const encoded = { start, end: start + encodedBytes };
    this.partUsed = pack.cipher.encrypt("chunk", part, encoded, pack.sizeBytes);
    const storedBytes = this.partUsed - start;
    const crc = pack.cipher.checksum(part.subarray(start, this.partUsed));
    const encoding = encodedBytes < payload.length ? ENCODING.lz4 : ENCODING.raw;
    this.writeRecord(pack, { id, rawBytes: payload.length, storedBytes, crc32: crc, encoding });
    pack.sizeBytes += storedBytes;
    if (this.partUsed >= this.options.storage.partBytes) this.sendPart(pack, start);
    else this.partCrc32.addKnown(crc, storedBytes);
    if (pack.sizeBytes >= PACK_BYTES || pack.chunkCount === MAX_CHUNKS_PER_PACK) this.closePack(pack);
    return storedBytes;
  }

  /** Closes the open pack and waits until all packs are durable, or have failed. */
  async finish(): Promise<void> {
    if (this.pack !== undefined) this.closePack(this.pack);
    while (this.inFlight.size > 0) await Promise.all(this.inFlight);
  }

  /** Discards every incomplete pack. */
  async abort(): Promise<void> {
    this.aborted = true;
    await Promise.all([...this.uploads].map((upload) => upload.abort()));
    await Promise.all(this.inFlight);
  }

  private startPack(): OpenPack {
    const id = newPackId();
    const { cipher } = this.options.storage;
    const upload = this.options.storage.putStream(packKey(id));
    this.uploads.add(upload);
    this.fill(packHeader(id, cipher.layout));
    this.pack = { id, cipher: cipher.pack(id), upload, sizeBytes: PACK_HEADER_BYTES, chunkCount: 0 };
    return this.pack;
  }

  private currentPart(): Buffer {
    this.part ??= this.freeParts.pop();
    if (this.part === undefined) throw new Error("PackWriter.append was called without room");
    return this.part;
  }

  /** Adds bytes that are not a chunk to the part. */
  private fill(bytes: Buffer): void {
    this.partUsed += bytes.copy(this.currentPart(), this.partUsed);
    this.partCrc32.add(bytes);
  }

  private writeRecord(pack: OpenPack, stored: Omit<ChunkRecord, "offset">): void {
    const record = { ...stored, offset: pack.sizeBytes };
    writeChunkRecord(record, this.footer, pack.chunkCount * CHUNK_RECORD_BYTES);
    pack.chunkCount += 1;
  }

  /**
   * Sends a full part. The overrun of the last chunk, which starts at `lastStart`, moves to the next part.
   */
  private sendPart(pack: OpenPack, lastStart: number): void {
    const { partBytes } = this.options.storage;
    const full = this.currentPart();
    const end = this.partUsed;
    this.part = undefined;
    this.partUsed = full.copy(this.currentPart(), 0, partBytes, end);
    this.partCrc32.add(full.subarray(lastStart, partBytes));
    this.track(pack.upload.write(full.subarray(0, partBytes), this.partCrc32.value), full);
    this.partCrc32.reset();
    this.partCrc32.add(full.subarray(partBytes, end));
  }

  private closePack(pack: OpenPack): void {
    const footer = Buffer.from(this.footer.subarray(0, pack.chunkCount * CHUNK_RECORD_BYTES));
    const stored = this.encryptFooter(pack, footer);
    const trailer = packTrailer(pack.id, stored, pack.sizeBytes, this.options.storage.cipher.layout);
    const tail = this.currentPart();
    this.fill(stored);
    this.fill(trailer);
    const sizeBytes = pack.sizeBytes + stored.length + trailer.length;
    const finished = pack.upload.finish(tail.subarray(0, this.partUsed), this.partCrc32.value).then(() => {
      this.uploads.delete(pack.upload);
      this.options.onPack({ id: pack.id, sizeBytes, footer });
    });
    this.pack = undefined;
    this.part = undefined;
    this.partUsed = 0;
    this.partCrc32.reset();
    this.track(finished, tail);
  }

  private encryptFooter({ cipher, sizeBytes: offset }: OpenPack, footer: Buffer): Buffer {
    const { tagBytes } = this.options.storage.cipher.layout;
    const stored = Buffer.concat([footer, Buffer.alloc(tagBytes)]);
    cipher.encrypt("footer", stored, { start: 0, end: footer.length }, offset);
    return stored;
  }

  private track(work: Promise<void>, buffer: Buffer): void {
    const settled = work
      .catch((error: unknown) => {
        if (!this.aborted) this.options.onFailure(error);
      })
      .then(() => {
        this.inFlight.delete(settled);
        this.freeParts.push(buffer);
        this.options.onRoom();
      });
    this.inFlight.add(settled);
  }
}
