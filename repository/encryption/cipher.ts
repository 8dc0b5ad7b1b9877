import type { PackLayout } from "../pack-format.js";

/**
 * How a repository protects its contents. It is chosen once, when the repository is opened, so that no other
 * code checks for encryption: `NO_CIPHER` is the cipher of an unencrypted repository.
 */
export interface Cipher {
  readonly layout: PackLayout;
  /** Memory in bytes that it takes in each thread that writes packs. */
  readonly bytesPerThread: number;
  /**
   * Returns a chunk's id: 32 bytes that depend only on its plaintext and, in an encrypted repository,
   * on the key.
   */
  chunkId(payload: Buffer): Buffer;
  /** Returns the cipher of one pack. */
  pack(id: string): PackCipher;
  /**
   * Encrypts an object.
   * @param name of the object, usually its key: it cannot be decrypted under another name
   */
  encryptObject(name: string, body: Uint8Array): Buffer;
  /**
   * Decrypts an object.
   * @returns undefined when it is damaged, or is not the object of this name in this repository
   */
  decryptObject(name: string, bytes: Buffer): Buffer | undefined;
}

/** The parts of a pack that are encrypted, each on its own. */
export type PackPiece = "chunk" | "footer";

export interface PackCipher {
  /**
   * Encrypts bytes `[start, end)` of a buffer in place. The buffer must have room for the tag after them.
   * @param offset in the pack: no two pieces of a pack may have the same
   * @returns the end of the stored bytes
   */
  encrypt(piece: PackPiece, buffer: Buffer, range: { start: number; end: number }, offset: number): number;
  /**
   * Returns the checksum of a chunk's stored bytes for its record: their CRC-32, or 0 for chunks with a tag.
   */
  checksum(stored: Buffer): number;
  /**
   * Decrypts a piece of this pack.
   * @returns the plaintext, which the next call overwrites, or undefined when the bytes are not the ones that
   * were stored at this offset of this pack
   */
  decrypt(piece: PackPiece, stored: Buffer, offset: number): Buffer | undefined;
}
