import { once } from "node:events";
import { existsSync } from "node:fs";
import { type AddressInfo, createServer, isIPv4, type Server, type Socket } from "node:net";
import { resolve } from "node:path";
import { BlockferryError, systemErrorMessage, throwIfInterrupted } from "../../foundation/errors.js";
import { PRIVATE_FILE_MODE } from "../../foundation/held-place.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/format/recovery-point.js";
import type { Repository } from "../../repository/open/repository.js";
import { Connection } from "./connection.js";
import { type NbdExport, shakeHands } from "./negotiation.js";
import { transmit } from "./transmission.js";
import { openVolume, positionMissing, VolumeReader } from "./volume-reader.js";

interface ServeVolumeOptions {
  point: RecoveryPoint;
  volume: RecoveryPointVolume;
  address: ListenAddress;
  /** Memory for the most recently used chunks. */
  cacheBytes: number;
  signal: AbortSignal;
  /**
   * Called before serving starts if data of the volume are known to be missing. If it throws, nothing is
   * served.
   */
  onMissing(error: BlockferryError): void;
  /** Called with each index segment that hid chunks of the volume. */
  onFalseSegment(problem: BlockferryError): void;
  /**
   * Called once for each requested chunk that cannot be read.
   * @param where the chunk's position in the volume, and its place in a pack
   */
  onUnreadable(error: BlockferryError, where: string): void;
}

/**
 * Serves a volume of a recovery point to NBD clients while `use` runs.
 * The caller holds a lease on the repository.
 * @param use gets the NBD URI for clients
 * @throws ListenFailed, Interrupted, and the errors of reading the index and the block map
 */
export async function serveVolume<T>(
  { storage }: Repository,
  options: ServeVolumeOptions,
  use: (uri: string) => Promise<T>,
): Promise<T> {
  const { point, volume, signal } = options;
  const open = await openVolume(storage.until(signal), point, volume);
  for (const problem of open.falseSegments) options.onFalseSegment(problem);
  const [firstMissing] = open.missing;
  if (firstMissing !== undefined) options.onMissing(positionMissing(open, firstMissing));
  const reader = new VolumeReader(open, {
    cacheBytes: options.cacheBytes,
    onUnreadable: (error, where) => {
      if (!signal.aborted) options.onUnreadable(error, where);
    },
  });
  throwIfInterrupted(signal);
  const { name, sizeBytes } = volume;
  const offered = { name, sizeBytes, description: `recovery point ${point.id}` };
  const server = await NbdServer.listen(options.address, reader, offered);
  try {
    return await use(server.uri);
  } finally {
    await server.close();
  }
}

/** Bounds the memory of all clients together: 16 connections of 8 MiB. */
const MAX_CONNECTIONS = 16;
/** Time limit for a client's handshake. */
const HANDSHAKE_MS = 10_000;

interface NbdServerOptions {
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
  const reason = systemErrorMessage(cause);
  const isTaken = address.kind === "unix" && existsSync(address.path);
  return new BlockferryError(
    {
      code: "ListenFailed",
      message: `Cannot listen on ${address.kind === "unix" ? address.path : `${address.host}:${address.port}`}: ${reason}.`,
      remedy: isTaken
        ? "A file with that name exists. Use another name, or remove the file if it is the socket of a server that was killed."
        : "Use another port, or a socket in a folder that this user may write to.",
      object: address.kind === "unix" ? address.path : address.host,
    },
    cause,
  );
}

/** The address of a server; only clients on this machine can connect. */
type ListenAddress = { kind: "unix"; path: string } | { kind: "tcp"; host: string; port: number };

/** unix(7): `sun_path` has 108 bytes, the last of them a zero. */
const MAX_SOCKET_PATH_BYTES = 107;

/**
 * Parses `unix:PATH`, or `HOST:PORT` with a loopback address.
 * @throws Usage
 */
export function parseListenAddress(text: string): ListenAddress {
  if (text.startsWith("unix:")) return unixAddress(text.slice("unix:".length));
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? (plain === "localhost" ? "127.0.0.1" : plain);
  const port = Number(digits);
  if (host === undefined || port > 65_535) {
    throw unusable(
      `--listen ${text} is not an address.`,
      "Write --listen unix:/path/of/a/socket, or --listen 127.0.0.1:10809",
    );
  }
  if (host !== "::1" && !(isIPv4(host) && host.startsWith("127."))) {
    throw unusable(
      `--listen ${text} would let other machines read the backup: NBD has no authentication.`,
      "Listen on unix:PATH or 127.0.0.1:PORT, and give other machines access through an SSH tunnel.",
    );
  }
  return { kind: "tcp", host, port };
}

/** Returns the address as an NBD URI (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md). */
export function nbdUri(address: ListenAddress): string {
  if (address.kind === "unix")
    return `nbd+unix:///?socket=${encodeURI(address.path).replace(/[?#&+]/g, encodeURIComponent)}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `nbd://${host}:${address.port}`;
}

function unusable(message: string, remedy: string): BlockferryError {
  return new BlockferryError({ code: "Usage", message, remedy });
}

function unixAddress(path: string): ListenAddress {
  const absolute = resolve(path);
  if (path !== "" && Buffer.byteLength(absolute) <= MAX_SOCKET_PATH_BYTES)
    return { kind: "unix", path: absolute };
  throw unusable(
    `--listen unix:${path} is not a valid path for a socket: it must have 1 to ${MAX_SOCKET_PATH_BYTES} bytes.`,
    "Use a shorter path, as in --listen unix:/run/backup.sock",
  );
}
