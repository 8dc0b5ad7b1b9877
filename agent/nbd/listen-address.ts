import { isIPv4 } from "node:net";
import { resolve } from "node:path";
import { usage } from "../../command-line/options.js";

/** The address of a server; only clients on this machine can connect. */
export type ListenAddress = { kind: "unix"; path: string } | { kind: "tcp"; host: string; port: number };

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
    throw usage(
      `--listen ${text} is no address.`,
      "Write --listen unix:/path/of/a/socket, or --listen 127.0.0.1:10809",
    );
  }
  if (host !== "::1" && !(isIPv4(host) && host.startsWith("127."))) {
    throw usage(
      `--listen ${text} would let other machines read the backup: NBD asks nobody who they are.`,
      "Listen on unix:PATH or 127.0.0.1:PORT, and let others in by an SSH tunnel.",
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

function unixAddress(path: string): ListenAddress {
  const absolute = resolve(path);
  if (path !== "" && Buffer.byteLength(absolute) <= MAX_SOCKET_PATH_BYTES)
    return { kind: "unix", path: absolute };
  throw usage(
    `--listen unix:${path} is no path for a socket: it must have 1 to ${MAX_SOCKET_PATH_BYTES} bytes.`,
    "Take a shorter one, as in --listen unix:/run/backup.sock",
  );
}
