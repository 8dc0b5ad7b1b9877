import { crc32 } from "node:zlib";

/** The CRC-32 of an object or part as S3 wants it: big-endian, in base64. It is computed unless it is known. */
export function crc32Base64(body: Uint8Array, known = crc32(body)): string {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(known);
  return bytes.toString("base64");
}
