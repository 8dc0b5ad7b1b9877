import { crc32 } from "node:zlib";

/**
 * Returns the CRC-32 of an object or part in the form of S3: big-endian, in base64.
 * Computes it unless it is known.
 */
export function crc32Base64(body: Uint8Array, known = crc32(body)): string {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(known);
  return bytes.toString("base64");
}
