/** Size of a WebAssembly page in bytes (WebAssembly core specification, 4.2.8). */
const WASM_PAGE_BYTES = 65_536;

/**
 * Allocates a zeroed buffer that starts on a page boundary. `O_DIRECT` requires that (open(2), NOTES). V8
 * maps a `WebAssembly.Memory` straight from the kernel. It is the only aligned allocation in plain Node; an
 * ordinary Buffer fails with EINVAL. Untouched pages take no memory.
 */
export function allocateAligned(sizeBytes: number): Buffer {
  const pages = Math.max(1, Math.ceil(sizeBytes / WASM_PAGE_BYTES));
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  return Buffer.from(memory.buffer, 0, sizeBytes);
}
