import type { Socket } from "node:net";
import { SocketReader } from "./socket-reader.js";
import { SocketWriter } from "./socket-writer.js";

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
