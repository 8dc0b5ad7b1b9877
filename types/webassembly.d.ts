/** The part of the WebAssembly API that blockferry calls; @types/node 20 declares none of it. */
declare namespace WebAssembly {
  class Memory {
    /** @param descriptor sizes in pages of 64 KiB */
    constructor(descriptor: { initial: number; maximum: number });
    readonly buffer: ArrayBuffer;
  }
}
