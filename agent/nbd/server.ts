import { once } from "node:events";
import { existsSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { PRIVATE_FILE_MODE } from "../../foundation/private-modes.js";
import { Connection } from "./connection.js";
import { shakeHands } from "./handshake.js";
import { type ListenAddress, nbdUri } from "./listen-address.js";
import type { NbdExport } from "./option-answers.js";
import { transmit } from "./transmission.js";
import type { VolumeReader } from "./volume-reader.js";

/** Bounds the memory of all clients together: 16 connections of 8 MiB. */
const MAX_CONNECTIONS = 16;
/** Time limit for a client's handshake. */
const HANDSHAKE_MS = 10_000;

export interface NbdServerOptions {
  handshakeMs?: number;
}

/** Serves one volume, read-only, to up to 16 NBD clients at once. */
export class NbdServer {
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  private constructor(
    private readonly volume: VolumeReader,
    private readonly offered: NbdExport,
    private readonly handshakeMs: number,
  ) {
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      void this.serve(socket);
    });
    this.server.maxConnections = MAX_CONNECTIONS;
  }

  /** @throws ListenFailed */
  static async listen(
    address: ListenAddress,
    volume: VolumeReader,
    offered: NbdExport,
    { handshakeMs = HANDSHAKE_MS }: NbdServerOptions = {},
  ): Promise<NbdServer> {
    const server = new NbdServer(volume, offered, handshakeMs);
    try {
      listenPrivately(server.server, address);
      await once(server.server, "listening");
    } catch (error) {
      throw listenFailed(address, error);
    }
    return server;
  }

  /** The NBD URI for clients. */
  get uri(): string {
    const address = this.server.address() as AddressInfo | string;
    if (typeof address === "string") return nbdUri({ kind: "unix", path: address });
    return nbdUri({ kind: "tcp", host: address.address, port: address.port });
  }

  /** Closes all connections, and removes a socket from the file system. */
  async close(): Promise<void> {
    const closed = once(this.server, "close");
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private async serve(socket: Socket): Promise<void> {
    this.sockets.add(socket);
    socket.once("close", () => this.sockets.delete(socket));
    const connection = new Connection(socket);
    const deadline = setTimeout(() => connection.cut(), this.handshakeMs);
    try {
      const session = await shakeHands(connection, this.offered);
      clearTimeout(deadline);
      if (session !== undefined) await transmit(connection, session, this.volume);
      connection.end();
    } catch {
      connection.cut();
    } finally {
      clearTimeout(deadline);
    }
  }
}

/**
 * Creates the socket with its owner's rights only: a backup holds the files of all users. `bind` uses the
 * umask.
 */
function listenPrivately(server: Server, address: ListenAddress): void {
  if (address.kind === "tcp") {
    server.listen(address.port, address.host);
    return;
  }
  const umask = process.umask(0o777 & ~PRIVATE_FILE_MODE);
  try {
    server.listen(address.path);
  } finally {
    process.umask(umask);
  }
}

function listenFailed(address: ListenAddress, cause: unknown): BlockferryError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const isTaken = address.kind === "unix" && existsSync(address.path);
  return new BlockferryError(
    {
      code: "ListenFailed",
      message: `Cannot listen on ${address.kind === "unix" ? address.path : `${address.host}:${address.port}`}: ${reason}.`,
      remedy: isTaken
        ? "Something has that name. Take another one, or remove it if it is the socket of a server that was killed."
        : "Take another port, or a socket in a folder that this user may write.",
      object: address.kind === "unix" ? address.path : address.host,
    },
    cause,
  );
}
