/** The part of lz4's block API that blockferry calls (lz4 0.6.5, lib/binding/lz4_binding.cc). */
declare module "lz4" {
  /**
   * Compresses `input` into `output[start, end)`.
   * @returns the compressed size in bytes, or 0 when it does not fit
   */
  export function encodeBlock(input: Buffer, output: Buffer, start: number, end: number): number;
  /**
   * Decompresses `input[start, end)` into `output`, never writing beyond it.
   * @returns the decompressed size in bytes, or a negative number when the input is malformed
   */
  export function decodeBlock(input: Buffer, output: Buffer, start: number, end: number): number;
}
