import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { formatBytes } from "../../command-line/format.js";
import { once, usage } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import { passphraseFileOption, passphraseSource } from "../../command-line/passphrase-options.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import type { PassphraseSource } from "../../repository/encryption/passphrase.js";
import { openRepository, type Repository } from "../../repository/repository.js";
import { type CopyReport, copyPoints } from "../copy.js";
import { progressWatcher } from "./progress.js";
import { interruptSignal } from "./signals.js";

interface CopyArguments extends Omit<StorageArguments, "repo"> {
  points: string[];
  from: string;
  to: string;
  fromPassphraseFile: string | undefined;
  json: boolean;
}

const { repo: _, "passphrase-file": ofTarget, ...s3Options } = storageOptions;

const FROM_PASSPHRASE = "BLOCKFERRY_FROM_PASSPHRASE";

const repository = (name: string, describe: string) =>
  ({ type: "string", demandOption: true, requiresArg: true, coerce: once(name), describe }) as const;

export const copyCommand: Command<CopyArguments> = {
  command: "copy [points..]",
  describe: "Copy recovery points into another repository; only chunks that are missing there travel",
  builder: (parser: Argv) =>
    parser
      .positional("points", {
        type: "string",
        array: true,
        default: [],
        describe: "Ids of points, or `latest`; all without any",
      })
      .options({
        from: repository("from", "Repository to copy from: s3://BUCKET/PREFIX or a local directory"),
        to: repository("to", "Repository to copy to, made with `init`"),
        "from-passphrase-file": passphraseFileOption("from-passphrase-file", FROM_PASSPHRASE),
        "passphrase-file": { ...ofTarget, describe: `For --to: ${ofTarget.describe}` },
        ...s3Options,
      })
      .example("$0 copy --from s3://backups/fleet --to s3://other-account/fleet", "all that is missing there")
      .example(
        "$0 copy latest --from repo --to /mnt/disk/repo",
        "one point, to a disk that is taken away",
      ) as unknown as Argv<CopyArguments>,
  handler: async ({ points, from, to, fromPassphraseFile, json, ...args }) => {
    if (from === to) throw usage("--from and --to name the same repository.", "Give two.");
    const source = await open(from, args, passphraseSource(fromPassphraseFile, FROM_PASSPHRASE));
    const target = await open(to, args, passphraseSource(args.passphraseFile, "BLOCKFERRY_PASSPHRASE"));
    if (source.config.id === target.config.id) {
      throw usage(
        `${from} and ${to} are the same repository, or copies of one.`,
        "Give two that `init` has made.",
      );
    }
    const options = { points, watcher: progressWatcher(json), signal: interruptSignal() };
    const report = await copyPoints(source, target, options);
    printResult(json, report, describe(report, to));
  },
};

/** S3 options are for whichever of the two is in S3. */
function open(
  repo: string,
  args: Omit<StorageArguments, "repo">,
  passphrase: PassphraseSource | undefined,
): Promise<Repository> {
  const isInS3 = repo.startsWith("s3://");
  const location = storageLocation(isInS3 ? { ...args, repo } : ({ repo } as StorageArguments));
  return openRepository({ ...location, passphrase });
}

function describe({ copied, present, chunks, storedBytes }: CopyReport, to: string): string {
  return [
    `${copied.length} points copied to ${to}: ${chunks} chunks were missing there (${formatBytes(storedBytes)}).`,
    ...copied.map((id) => `  ${id}`),
    ...(present.length === 0 ? [] : [`${present.length} were there already.`]),
  ].join("\n");
}
