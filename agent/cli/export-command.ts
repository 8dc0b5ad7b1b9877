import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { formatBytes, formatSeconds } from "../../command-line/format.js";
import { interruptSignal, KEEP_STORED } from "../../command-line/interrupt.js";
import { once } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { openRepository } from "../../repository/repository.js";
import { exportVolume } from "../export/export.js";
import { IMAGE_FORMATS, type ImageFormat } from "../export/image-format.js";
import { requireQemuImg } from "../export/qemu-img.js";
import { withReadLease } from "../read-lease.js";
import { progressWatcher } from "./progress.js";
import { chooseVolume, type VolumeArguments, volumeOptions } from "./volume-options.js";

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
    const signal = interruptSignal(KEEP_STORED);
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
    printResult(args.json, { ...result, seconds }, [
      `Exported volume ${volume} (${formatBytes(sizeBytes)}) of recovery point ${point} (${origin}) in ${formatSeconds(seconds)} to ${target} (${format}, ${formatBytes(imageBytes)})`,
    ]);
  },
};
