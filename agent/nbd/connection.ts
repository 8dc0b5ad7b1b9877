import type { Socket } from "node:net";
import { SocketReader } from "./socket-reader.js";
import { SocketWriter } from "./socket-writer.js";

/** One client's connection. */
export class Connection {
  readonly reader: SocketReader;
  readonly writer: SocketWriter;

  constructor(private readonly socket: Socket) {
    // Whoever reads or writes then meets the error itself, or the end.
    socket.on("error", () => undefined);
    this.reader = new SocketReader(socket);
    this.writer = new SocketWriter(socket);
  }

  /** Closes the connection when everything that was written has left. */
  end(): void {
    this.socket.destroySoon();
  }

  /** Ends the connection at once. */
  cut(): void {
    this.socket.destroy();
  }
}

/** What client and server have agreed on in the handshake. */
export interface Session {
  replies: "simple" | "structured";
  /** Whether the client may ask where the holes are. */
  hasBlockStatus: boolean;
}
