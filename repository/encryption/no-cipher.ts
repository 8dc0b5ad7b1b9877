import { crc32 } from "node:zlib";
import { chunkId } from "../chunk-id.js";
import { PLAIN_LAYOUT } from "../pack-format.js";
import type { Cipher, PackCipher } from "./cipher.js";

const PLAIN_PACK: PackCipher = {
  encrypt: (_piece, _buffer, { end }) => end,
  checksum: (stored) => crc32(stored),
  decrypt: (_piece, stored) => stored,
};

/** The cipher of an unencrypted repository: leaves everything as it is. */
export const NO_CIPHER: Cipher = {
  layout: PLAIN_LAYOUT,
  bytesPerThread: 0,
  chunkId,
  pack: () => PLAIN_PACK,
  encryptObject: (_name, body) => Buffer.from(body.buffer, body.byteOffset, body.byteLength),
  decryptObject: (_name, bytes) => bytes,
};
