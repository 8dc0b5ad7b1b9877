/** Size of a WebAssembly page in bytes (WebAssembly core specification, 4.2.8). */
const WASM_PAGE_BYTES = 65_536;

/**
 * A zeroed buffer whose memory starts on a page boundary, as `O_DIRECT` demands of its buffers
 * (open(2), NOTES). V8 maps a `WebAssembly.Memory` straight from the kernel, which makes it the one
 * aligned allocation that plain Node offers; an ordinary Buffer fails with EINVAL. Pages that are never
 * touched take no memory.
 */
export function allocateAligned(sizeBytes: number): Buffer {
  const pages = Math.max(1, Math.ceil(sizeBytes / WASM_PAGE_BYTES));
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  return Buffer.from(memory.buffer, 0, sizeBytes);
}
