import { once as onceEvent } from "node:events";
import type { Argv } from "yargs";
import { type ChoosePointOptions, type ChosenPoint, choosePoint } from "../../command-line/choose-point.js";
import { formatBytes, formatSeconds } from "../../command-line/format.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import {
  once,
  POINT_REFERENCE,
  type PointFilterArguments,
  parseByteSize,
  parsePointFilter,
  pointFilterOptions,
  usage,
} from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import type { BlockferryError } from "../../foundation/errors.js";
import { shellWord } from "../../foundation/shell.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/format/recovery-point.js";
import { openRepository } from "../../repository/open/repository.js";
import { isVolume } from "../../repository/points/find-point.js";
import { withReadLease } from "../../repository/protocol/lease.js";
import type { Storage } from "../../repository/storage/storage.js";
import { exportVolume } from "../export/export.js";
import { IMAGE_FORMATS, type ImageFormat, requireQemuImg } from "../export/qemu-img.js";
import { parseListenAddress, serveVolume } from "../nbd/server.js";
import type { AgentOutput } from "./outputs.js";
import { progressWatcher } from "./progress.js";

interface ExportArguments extends StorageArguments, VolumeArguments {
  target: string;
  format: ImageFormat;
}

export const exportCommand: Command<ExportArguments> = {
  command: "export <target>",
  describe: "Write a volume of a recovery point to a new disk image with qemu-img",
  builder: (parser: Argv) =>
    parser
      .positional("target", { type: "string", describe: "Path of the new image; it must not exist yet" })
      .options({
        ...storageOptions,
        ...volumeOptions,
        format: {
          choices: IMAGE_FORMATS,
          demandOption: true,
          requiresArg: true,
          coerce: once("format"),
          describe: "Format of the image",
        },
      })
      .example(
        "$0 export --repo repo --point latest --volume root --format qcow2 root.qcow2",
        "to boot it in a virtual machine",
      ) as unknown as Argv<ExportArguments>,
  handler: async (args) => {
    await requireQemuImg();
    const signal = interruptSignal();
    const repository = await openRepository(storageLocation(args), signal);
    const watcher = progressWatcher(args.json);
    const started = performance.now();
    const { result, origin } = await withReadLease(repository.storage, { watcher, signal }, async () => {
      const storage = repository.storage.until(signal);
      const { point, volume, record, origin } = await chooseVolume(storage, args, watcher.notice);
      const { target, format } = args;
      const imageBytes = await exportVolume(repository, { point, volume, target, format, watcher, signal });
      const { name, sizeBytes } = volume;
      const result = { point: point.id, volume: name, sizeBytes, target, format, imageBytes };
      return { result: { ...result, recoveryPoint: record }, origin };
    });
    const seconds = (performance.now() - started) / 1000;
    const { point, volume, sizeBytes, target, format, imageBytes } = result;
    printResult<AgentOutput<"export">>(args.json, { ...result, seconds }, [
      `Exported volume ${volume} (${formatBytes(sizeBytes)}) of recovery point ${point} (${origin}) in ${formatSeconds(seconds)} to ${target} (${format}, ${formatBytes(imageBytes)})`,
    ]);
  },
};

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
    const signal = interruptSignal();
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
          printResult<AgentOutput<"nbd">>(
            args.json,
            { ...served, recoveryPoint: record },
            describeService(served, origin),
          );
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
  throw usage(`--cache-size ${size} is too small.`, "Give 32M or more, or leave it out.");
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
    "To see the image as a file, mount it, and copy it:",
    "",
    `  mkdir disk && nbdfuse disk ${uri}`,
    "  mount -o ro,loop disk/nbd /mnt           # or, for partitions: losetup --find --show --partscan --read-only disk/nbd",
    `  nbdcopy ${uri} disk.img`,
    "",
    "Press Ctrl-C to stop.",
  ];
}

/** Options of the commands that read one volume of a recovery point. */
const volumeOptions = {
  point: {
    type: "string",
    demandOption: true,
    requiresArg: true,
    coerce: once("point"),
    describe: POINT_REFERENCE,
  },
  ...pointFilterOptions,
  volume: {
    type: "string",
    requiresArg: true,
    coerce: once("volume"),
    describe: "Name or EBS id of the volume; may be left out if the point has only one",
  },
} as const;

interface VolumeArguments extends Omit<PointFilterArguments, "volume"> {
  point: string;
  volume: string | undefined;
  json: boolean;
}

/**
 * Chooses a point and its volume; `latest` is the latest point that has the volume.
 * @throws Usage; the errors of `choosePoint`
 */
async function chooseVolume(
  storage: Storage,
  args: VolumeArguments,
  notice: ChoosePointOptions["notice"],
): Promise<ChosenPoint & { volume: RecoveryPointVolume }> {
  const { point, volume, json } = args;
  const filter = parsePointFilter({ ...args, volume: undefined });
  const volumes = volume === undefined ? [] : [volume];
  const chosen = await choosePoint(storage, point, { filter, volumes, json, notice });
  return { ...chosen, volume: volumeOf(chosen.point, volume) };
}

/** @throws Usage */
function volumeOf(point: RecoveryPoint, wanted: string | undefined): RecoveryPointVolume {
  const [first, ...others] = point.volumes;
  if (wanted === undefined && first !== undefined && others.length === 0) return first;
  const named =
    point.volumes.find(({ name }) => name === wanted) ??
    point.volumes.find((volume) => wanted !== undefined && isVolume(volume, wanted));
  if (named !== undefined) return named;
  const names = point.volumes.map(({ name }) => name).join(", ");
  const problem = wanted === undefined ? "has several volumes" : `has no volume ${wanted}`;
  throw usage(`Recovery point ${point.id} ${problem}: ${names}.`, "Name one of them with --volume NAME");
}
