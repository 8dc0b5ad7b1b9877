import type { Socket } from "node:net";

/** One client's connection. */
export class Connection {
  readonly reader: SocketReader;
  readonly writer: SocketWriter;

  constructor(private readonly socket: Socket) {
    // Readers and writers get the error, or the end of the stream, themselves.
    socket.on("error", () => undefined);
    this.reader = new SocketReader(socket);
    this.writer = new SocketWriter(socket);
  }

  /** Closes the connection once everything written has been sent. */
  end(): void {
    this.socket.destroySoon();
  }

  /** Closes the connection immediately. */
  cut(): void {
    this.socket.destroy();
  }
}

/** The options that client and server agreed on in the handshake. */
export interface Session {
  replies: "simple" | "structured";
  /** Whether the client may ask for the holes. */
  hasBlockStatus: boolean;
}

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

/**
 * Writes messages to a socket, each completely before the next one.
 * A promise resolves when the kernel has taken the message. A caller that waits for it keeps only one message
 * in memory, however slow the peer is.
 */
export class SocketWriter {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly socket: Socket) {}

  /** @throws if the connection is closed */
  write(...pieces: Buffer[]): Promise<void> {
    return this.exclusively((write) => write(...pieces));
  }

  /** Sends a message in consecutive pieces: nothing else is written until `send` has ended. */
  exclusively(send: (write: (...pieces: Buffer[]) => Promise<void>) => Promise<void>): Promise<void> {
    const sent = this.last.then(() => send((...pieces) => this.hand(pieces)));
    this.last = sent.catch(() => undefined);
    return sent;
  }

  private hand(pieces: Buffer[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const final = pieces.length - 1;
      this.socket.cork();
      for (const [number, piece] of pieces.entries()) {
        this.socket.write(piece, (error) => {
          if (error != null) reject(error);
          else if (number === final) resolve();
        });
      }
      this.socket.uncork();
    });
  }
}
