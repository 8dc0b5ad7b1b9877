import { once as onceEvent } from "node:events";
import type { Argv } from "yargs";
import { parseByteSize } from "../../command-line/byte-size.js";
import type { Command } from "../../command-line/command.js";
import { formatBytes } from "../../command-line/format.js";
import { interruptSignal, KEEP_STORED } from "../../command-line/interrupt.js";
import { once, usage } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import type { BlockferryError } from "../../foundation/blockferry-error.js";
import { shellWord } from "../../foundation/shell-word.js";
import { openRepository } from "../../repository/repository.js";
import { parseListenAddress } from "../nbd/listen-address.js";
import { serveVolume } from "../nbd/serve-volume.js";
import { withReadLease } from "../read-lease.js";
import { progressWatcher } from "./progress.js";
import { chooseVolume, type VolumeArguments, volumeOptions } from "./volume-options.js";

/** The data that all clients together have in flight should fit in. */
const MIN_CACHE_BYTES = 32 * 1024 * 1024;

interface NbdArguments extends StorageArguments, VolumeArguments {
  listen: string;
  cacheSize: string;
}

export const nbdCommand: Command<NbdArguments> = {
  command: "nbd",
  describe: "Serve a volume of a recovery point as a read-only network block device, without restoring it",
  builder: (parser: Argv) =>
    parser
      .options({
        ...storageOptions,
        ...volumeOptions,
        listen: {
          type: "string",
          demandOption: true,
          requiresArg: true,
          coerce: once("listen"),
          describe: "unix:PATH of a new socket, or 127.0.0.1:PORT",
        },
        "cache-size": {
          type: "string",
          requiresArg: true,
          default: "128M",
          coerce: once("cache-size"),
          describe: "Memory for the most recently used chunks; K, M, G for KiB, MiB, GiB",
        },
      })
      .example(
        "$0 nbd --repo repo --point latest --listen unix:/run/backup.sock",
        "for nbdfuse, nbdcopy, qemu-nbd, qemu-img and other clients on this machine",
      )
      .example(
        "$0 nbd --repo repo --point 20261123T1121 --volume root --listen 127.0.0.1:10809",
        "one of several volumes, over TCP",
      ) as unknown as Argv<NbdArguments>,
  handler: async (args) => {
    const address = parseListenAddress(args.listen);
    const cacheBytes = parseCacheSize(args.cacheSize);
    const signal = interruptSignal(KEEP_STORED);
    const repository = await openRepository(storageLocation(args), signal);
    const watcher = progressWatcher(args.json);
    await withReadLease(repository.storage, { watcher, signal }, async () => {
      const storage = repository.storage.until(signal);
      const { point, volume, record, origin } = await chooseVolume(storage, args, watcher.notice);
      const notices = {
        onMissing: ({ message }: BlockferryError) => watcher.notice(`${message} Reads there fail with EIO.`),
        onFalseSegment: ({ message, remedy }: BlockferryError) => watcher.notice(`${message} ${remedy}`),
        onUnreadable: ({ message }: BlockferryError, where: string) =>
          watcher.notice(`Cannot read ${where}: ${message}`),
      };
      await serveVolume(
        repository,
        { point, volume, address, cacheBytes, signal, ...notices },
        async (listening) => {
          const served = { listening, point: point.id, volume: volume.name, sizeBytes: volume.sizeBytes };
          printResult(args.json, { ...served, recoveryPoint: record }, describeService(served, origin));
          if (!signal.aborted) await onceEvent(signal, "abort");
        },
      );
    });
  },
};

/** @throws Usage */
function parseCacheSize(size: string): number {
  const bytes = parseByteSize("cache-size", size);
  if (bytes >= MIN_CACHE_BYTES) return bytes;
  throw usage(`--cache-size ${size} is too little.`, "Give 32M or more, or leave it out.");
}

function describeService(
  served: { listening: string; point: string; volume: string; sizeBytes: number },
  origin: string,
) {
  const uri = shellWord(served.listening);
  return [
    `Serving volume ${served.volume} (${formatBytes(served.sizeBytes)}) of recovery point ${served.point} (${origin}), read-only, at`,
    "",
    `  ${served.listening}`,
    "",
    "The image as a file, its files, and a copy of it:",
    "",
    `  mkdir disk && nbdfuse disk ${uri}`,
    "  mount -o ro,loop disk/nbd /mnt           # or, for partitions: losetup --find --show --partscan --read-only disk/nbd",
    `  nbdcopy ${uri} disk.img`,
    "",
    "Ctrl-C ends it.",
  ];
}
