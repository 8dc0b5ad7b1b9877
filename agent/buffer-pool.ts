/** A fixed number of buffers; a caller waits its turn if none is free. */
export class BufferPool {
  private readonly waiting: ((buffer: Buffer) => void)[] = [];

  constructor(private readonly free: Buffer[]) {}

  take(): Buffer | Promise<Buffer> {
    return this.free.pop() ?? new Promise((resolve) => this.waiting.push(resolve));
  }

  give(buffer: Buffer): void {
    const next = this.waiting.shift();
    if (next === undefined) this.free.push(buffer);
    else next(buffer);
  }
}
