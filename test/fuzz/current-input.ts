import { closeSync, openSync, readFileSync, writeSync } from "node:fs";

const HEAD_BYTES = 16;

/** Records in a file the input that a fuzzer is about to try. The input is known even if the process dies. */
export class CurrentInput {
  private readonly file: number;
  private count = 0;

  constructor(path: string) {
    this.file = openSync(path, "w");
  }

  set(target: number, input: Buffer): void {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(target, 0);
    head.writeUInt32LE(input.length, 4);
    head.writeDoubleLE(++this.count, 8);
    writeSync(this.file, Buffer.concat([head, input]), 0, HEAD_BYTES + input.length, 0);
  }

  close(): void {
    closeSync(this.file);
  }

  /**
   * Reads the recorded input.
   * @returns undefined before the first input; `count` distinguishes equal inputs
   */
  static read(path: string): { target: number; input: Buffer; count: number } | undefined {
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch {
      return undefined;
    }
    if (bytes.length < HEAD_BYTES) return undefined;
    const input = bytes.subarray(HEAD_BYTES, HEAD_BYTES + bytes.readUInt32LE(4));
    return { target: bytes.readUInt32LE(0), input, count: bytes.readDoubleLE(8) };
  }
}
