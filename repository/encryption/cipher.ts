import type { PackLayout } from "../pack-format.js";

/**
 * How a repository protects what it holds. It is chosen once, when the repository is opened, so that nothing else asks
 * whether it is encrypted: `NO_CIPHER` is the one of a repository that is not.
 */
export interface Cipher {
  readonly layout: PackLayout;
  /** Memory that it takes in each thread that writes packs. */
  readonly bytesPerThread: number;
  /** A chunk's name: 32 bytes that only its plaintext determines, and in an encrypted repository the key. */
  chunkId(payload: Buffer): Buffer;
  /** What a pack is encrypted with. */
  pack(id: string): PackCipher;
  /** @param name what the object is, usually its key: it opens under no other */
  encryptObject(name: string, body: Uint8Array): Buffer;
  /** @returns undefined when it is damaged, or not the object of this name in this repository */
  decryptObject(name: string, bytes: Buffer): Buffer | undefined;
}

/** What of a pack is encrypted, each piece by itself. */
export type PackPiece = "chunk" | "footer";

export interface PackCipher {
  /**
   * Encrypts bytes `[start, end)` of a buffer where they stand; it must have room for the tag behind them.
   * @param offset where they will stand in the pack: no two pieces of a pack may have the same
   * @returns the end of what is stored now
   */
  encrypt(piece: PackPiece, buffer: Buffer, range: { start: number; end: number }, offset: number): number;
  /** Of a chunk's stored bytes, for its record: their CRC-32, or 0 where a tag does better. */
  checksum(stored: Buffer): number;
  /**
   * @returns the plaintext, which the next call overwrites, or undefined when it is not what was stored at this offset of this
   * pack
   */
  decrypt(piece: PackPiece, stored: Buffer, offset: number): Buffer | undefined;
}
