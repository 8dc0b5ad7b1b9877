import { createHash, randomBytes } from "node:crypto";
import { BlockferryError } from "../../foundation/errors.js";
import { CHUNK_RECORD_BYTES, PACK_HEADER_BYTES } from "./chunk.js";

/**
 * A pack: header, chunk payloads without gaps, footer (one record a chunk, in the order of the payloads),
 * trailer. docs/format.md describes every byte.
 */
export interface PackLayout {
  version: 1 | 2;
  /** Bytes of the tag after each payload, and after the footer. */
  tagBytes: 0 | 16;
}

export const PLAIN_LAYOUT: PackLayout = { version: 1, tagBytes: 0 };
/** Payloads and footer are encrypted, each with its tag. */
export const ENCRYPTED_LAYOUT: PackLayout = { version: 2, tagBytes: 16 };

const HEADER_MAGIC = Buffer.from("BFRYPACK", "latin1");
const TRAILER_MAGIC = Buffer.from("BFRYPEND", "latin1");
export const PACK_TRAILER_BYTES = 64;
export const PACK_ID_BYTES = 16;
/** Bounds the footer, and with it the memory of a reader. */
export const MAX_CHUNKS_PER_PACK = 8192;

const TRAILER = { sha256: 0, footerOffset: 32, chunkCount: 36, reserved: 40, magic: 56 } as const;
const NOTHING_RESERVED = Buffer.alloc(TRAILER.magic - TRAILER.reserved);

export function newPackId(): string {
  return randomBytes(PACK_ID_BYTES).toString("hex");
}

export function packKey(id: string): string {
  return `packs/${id.slice(0, 2)}/${id}`;
}

/** Returns the id in a pack's key; undefined for other keys. */
export function packIdOf(key: string): string | undefined {
  const match = /^packs\/([0-9a-f]{2})\/(\1[0-9a-f]{30})$/.exec(key);
  return match?.[2];
}

export function packHeader(id: string, { version }: PackLayout): Buffer {
  const header = Buffer.alloc(PACK_HEADER_BYTES);
  HEADER_MAGIC.copy(header, 0);
  header.writeUInt32LE(version, 8);
  Buffer.from(id, "hex").copy(header, 16);
  return header;
}

/**
 * Returns the trailer of a pack.
 * @param footer the records of all chunks, as stored
 * @param footerOffset start of the footer in the pack
 */
export function packTrailer(id: string, footer: Buffer, footerOffset: number, layout: PackLayout): Buffer {
  const trailer = Buffer.alloc(PACK_TRAILER_BYTES);
  trailer.writeUInt32LE(footerOffset, TRAILER.footerOffset);
  trailer.writeUInt32LE((footer.length - layout.tagBytes) / CHUNK_RECORD_BYTES, TRAILER.chunkCount);
  TRAILER_MAGIC.copy(trailer, TRAILER.magic);
  footerChecksum(id, footer, trailer, layout).copy(trailer, TRAILER.sha256);
  return trailer;
}

interface FooterLocation {
  offset: number;
  length: number;
}

/** Finds the footer from the last 64 bytes of the pack. @throws PackCorrupt */
export function locateFooter(
  id: string,
  trailer: Buffer,
  packBytes: number,
  layout: PackLayout,
): FooterLocation {
  const offset = packBytes - PACK_TRAILER_BYTES;
  if (trailer.length < PACK_TRAILER_BYTES || !trailer.subarray(TRAILER.magic).equals(TRAILER_MAGIC)) {
    throw packCorrupt(
      id,
      Math.max(0, offset),
      "it does not end in a pack trailer, so it was cut short or overwritten",
    );
  }
  if (!trailer.subarray(TRAILER.reserved, TRAILER.magic).equals(NOTHING_RESERVED)) {
    throw packCorrupt(id, offset + TRAILER.reserved, "reserved bytes of its trailer are not zero");
  }
  const footer = {
    offset: trailer.readUInt32LE(TRAILER.footerOffset),
    length: trailer.readUInt32LE(TRAILER.chunkCount) * CHUNK_RECORD_BYTES + layout.tagBytes,
  };
  const maxBytes = MAX_CHUNKS_PER_PACK * CHUNK_RECORD_BYTES + layout.tagBytes;
  if (footer.length > maxBytes || footer.offset + footer.length !== offset) {
    throw packCorrupt(id, offset, "its trailer does not match its size");
  }
  return footer;
}

/** Checks the footer against the trailer. @throws PackCorrupt unless both are exactly as written */
export function checkFooter(
  id: string,
  footer: Buffer,
  trailer: Buffer,
  footerOffset: number,
  layout: PackLayout,
): void {
  if (!footerChecksum(id, footer, trailer, layout).equals(trailer.subarray(0, TRAILER.footerOffset))) {
    throw packCorrupt(id, footerOffset, "its footer does not match the checksum in its trailer");
  }
}

export function packCorrupt(id: string, offset: number, reason: string): BlockferryError {
  return new BlockferryError({
    code: "PackCorrupt",
    message: `${packKey(id)} is damaged at byte ${offset}: ${reason}.`,
    remedy: `Run \`blockferry-agent verify --read-data\` to see what is affected. Restore the object from a replica. Otherwise \`blockferry-agent repair packs ${id}\` keeps its intact chunks, and the next backup stores the lost data again if they are still on the devices.`,
    object: packKey(id),
    offset,
  });
}

/** Covers the header through the id, the whole footer, and the trailer's own fields. */
function footerChecksum(id: string, footer: Buffer, trailer: Buffer, layout: PackLayout): Buffer {
  return createHash("sha256")
    .update(packHeader(id, layout))
    .update(footer)
    .update(trailer.subarray(TRAILER.footerOffset, PACK_TRAILER_BYTES))
    .digest();
}

/** The packs that index entries refer to by number; every thread can read it. */
export class PackTable {
  private constructor(
    readonly memory: SharedArrayBuffer,
    private readonly ids: Buffer,
  ) {}

  static of(packIds: readonly string[]): PackTable {
    const table = PackTable.attach(new SharedArrayBuffer(packIds.length * PACK_ID_BYTES));
    packIds.forEach((id, number) => {
      table.ids.write(id, number * PACK_ID_BYTES, "hex");
    });
    return table;
  }

  static attach(memory: SharedArrayBuffer): PackTable {
    return new PackTable(memory, Buffer.from(memory));
  }

  get count(): number {
    return this.ids.length / PACK_ID_BYTES;
  }

  id(number: number): string {
    return this.ids.toString("hex", number * PACK_ID_BYTES, (number + 1) * PACK_ID_BYTES);
  }
}
