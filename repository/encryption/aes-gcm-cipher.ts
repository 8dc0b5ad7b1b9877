import { createHmac, type KeyObject, randomBytes } from "node:crypto";
import { CHUNK_BYTES, CHUNK_RECORD_BYTES } from "../format/chunk.js";
import type { Cipher, PackCipher, PackPiece } from "../format/chunk-codec.js";
import { ENCRYPTED_LAYOUT, MAX_CHUNKS_PER_PACK } from "../format/pack.js";
import {
  decrypt,
  decryptInto,
  deriveKey,
  encryptInto,
  NONCE_BYTES,
  ONLY_NONCE,
  type RepositoryKey,
  TAG_BYTES,
} from "./aes-gcm.js";

/** The largest piece: a chunk or a footer. */
const MAX_PIECE_BYTES = Math.max(CHUNK_BYTES, MAX_CHUNKS_PER_PACK * CHUNK_RECORD_BYTES);

/**
 * Memory for ciphertext. Node allocates a buffer for each piece of it, and V8 collects such buffers once they
 * reach this size, independent of its heap limits (`AllocateExternalBackingStore` in src/heap/heap.cc).
 */
export const CIPHERTEXT_BYTES = 32 * 2 ** 20;

/** More packs than a thread uses at once. */
const MAX_CACHED_PACKS = 64;

/** The cipher of an encrypted repository; docs/format.md lists the key for each kind of data. */
export class AesGcmCipher implements Cipher {
  readonly layout = ENCRYPTED_LAYOUT;
  readonly bytesPerThread = CIPHERTEXT_BYTES;
  private readonly idKey: KeyObject;
  private readonly packs = new Map<string, PackCipher>();
  private readonly scratch = Buffer.allocUnsafeSlow(MAX_PIECE_BYTES);

  constructor(private readonly key: RepositoryKey) {
    this.idKey = deriveKey(key, "blockferry chunk id");
  }

  /**
   * Returns the HMAC-SHA-256 of a chunk: without the key,
   * no one can find out whether a known chunk is stored.
   */
  chunkId(payload: Buffer): Buffer {
    return createHmac("sha256", this.idKey).update(payload).digest();
  }

  pack(id: string): PackCipher {
    const known = this.packs.get(id);
    if (known !== undefined) return known;
    if (this.packs.size === MAX_CACHED_PACKS) this.packs.clear();
    const pack = new AesGcmPack(deriveKey(this.key, `blockferry pack ${id}`), this.scratch);
    this.packs.set(id, pack);
    return pack;
  }

  encryptObject(name: string, body: Uint8Array): Buffer {
    return encryptObject(this.key, name, body);
  }

  decryptObject(name: string, bytes: Buffer): Buffer | undefined {
    return decryptObject(this.key, name, bytes);
  }
}

const PIECE_NUMBERS: Record<PackPiece, number> = { chunk: 0, footer: 1 };

/**
 * Encrypts the pieces of a pack. A pack's id is random and its bytes are written once, so a pair of key and
 * offset is never used for different content.
 */
class AesGcmPack implements PackCipher {
  private readonly nonce = Buffer.alloc(NONCE_BYTES);

  constructor(
    private readonly key: KeyObject,
    private readonly scratch: Buffer,
  ) {}

  encrypt(piece: PackPiece, buffer: Buffer, { start, end }: { start: number; end: number }, offset: number) {
    const stored = buffer.subarray(start, end + TAG_BYTES);
    encryptInto(stored, buffer.subarray(start, end), { key: this.key, nonce: this.nonceOf(piece, offset) });
    return end + TAG_BYTES;
  }

  checksum(): number {
    return 0;
  }

  decrypt(piece: PackPiece, stored: Buffer, offset: number): Buffer | undefined {
    return decryptInto(this.scratch, stored, { key: this.key, nonce: this.nonceOf(piece, offset) });
  }

  /** Returns a nonce: the offset (u32, little-endian), the kind of piece (u32), and zeros. */
  private nonceOf(piece: PackPiece, offset: number): Buffer {
    this.nonce.writeUInt32LE(offset, 0);
    this.nonce.writeUInt32LE(PIECE_NUMBERS[piece], 4);
    return this.nonce;
  }
}

/**
 * An encrypted object: header with a random salt, ciphertext, tag. Each object has its own key, derived with
 * that salt. So an object that is rewritten again and again never uses a nonce twice. docs/format.md
 * describes every byte.
 */
const HEADER_START = Buffer.from("BFRYENCR\x02\0\0\0\0\0\0\0", "latin1");
const HEADER_BYTES = 48;
const SALT_BYTES = HEADER_BYTES - HEADER_START.length;
const PURPOSE = "blockferry object";

/** Encrypts an object. @param salt 32 random bytes; only a test may choose them */
export function encryptObject(
  repositoryKey: RepositoryKey,
  name: string,
  body: Uint8Array,
  salt: Uint8Array = randomBytes(SALT_BYTES),
): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + body.length + TAG_BYTES);
  HEADER_START.copy(bytes);
  bytes.set(salt, HEADER_START.length);
  const key = deriveKey(repositoryKey, PURPOSE, salt);
  const context = contextOf(bytes, name);
  encryptInto(bytes.subarray(HEADER_BYTES), body, { key, nonce: ONLY_NONCE, context });
  return bytes;
}

/**
 * Decrypts an object.
 * @returns undefined when it is damaged, or is not the object of this name in this repository
 */
export function decryptObject(repositoryKey: RepositoryKey, name: string, bytes: Buffer): Buffer | undefined {
  if (!bytes.subarray(0, HEADER_START.length).equals(HEADER_START)) return undefined;
  const salt = bytes.subarray(HEADER_START.length, HEADER_BYTES);
  const key = deriveKey(repositoryKey, PURPOSE, salt);
  const context = contextOf(bytes, name);
  return decrypt(bytes.subarray(HEADER_BYTES), { key, nonce: ONLY_NONCE, context });
}

/** Returns the additional authenticated data: the header and the name. */
function contextOf(bytes: Buffer, name: string): Buffer {
  return Buffer.concat([bytes.subarray(0, HEADER_BYTES), Buffer.from(name, "utf8")]);
}
