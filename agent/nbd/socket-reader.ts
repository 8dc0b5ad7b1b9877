import type { Socket } from "node:net";

/** How many unwanted bytes are discarded at once. */
const DISCARD_BYTES = 64 * 1024;

/**
 * Reads a socket in pieces of the requested length. Unrequested data stay in the kernel, which slows the
 * sender.
 */
export class SocketReader {
  private wakeUp: () => void = () => undefined;

  constructor(private readonly socket: Socket) {
    for (const event of ["readable", "end", "close"]) socket.on(event, () => this.wakeUp());
  }

  /** @returns exactly `length` bytes, or undefined if the socket ends earlier */
  async read(length: number): Promise<Buffer | undefined> {
    if (length === 0) return Buffer.alloc(0);
    for (;;) {
      const bytes: Buffer | null = this.socket.read(length);
      if (bytes !== null) return bytes.length === length ? bytes : undefined;
      if (this.socket.readableEnded || this.socket.destroyed) return undefined;
      await new Promise<void>((resolve) => {
        this.wakeUp = resolve;
      });
    }
  }

  /**
   * Discards `length` bytes.
   * @returns whether that many arrived
   */
  async discard(length: number): Promise<boolean> {
    for (let left = length; left > 0; left -= DISCARD_BYTES) {
      if ((await this.read(Math.min(left, DISCARD_BYTES))) === undefined) return false;
    }
    return true;
  }
}
