import type { Socket } from "node:net";

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
