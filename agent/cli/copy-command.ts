import type { Argv } from "yargs";
import { type ChosenPoint, choosePoint } from "../../command-line/choose-point.js";
import { formatBytes } from "../../command-line/format.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import { macKeyOption, parseTombstoneKey } from "../../command-line/mac-key-option.js";
import {
  once,
  type PointFilterArguments,
  parsePointFilter,
  passphraseFileOption,
  passphraseSource,
  pointFilterOptions,
  usage,
} from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  expectOption,
  parsePins,
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import { openRepository, type Repository } from "../../repository/open/repository.js";
import { meetsFilter, type PointFilter } from "../../repository/points/find-point.js";
import { listPoints } from "../../repository/points/points.js";
import type { Storage, StorageLocation } from "../../repository/storage/storage.js";
import { type CopyReport, copyPoints } from "../maintenance/copy.js";
import type { AgentOutput } from "./outputs.js";
import { progressWatcher } from "./progress.js";

interface CopyArguments extends Omit<StorageArguments, "repo" | "expectRepository">, PointFilterArguments {
  points: string[];
  from: string;
  to: string;
  fromPassphraseFile: string | undefined;
  expectFrom: string | undefined;
  expectTo: string | undefined;
  tombstoneKey: string | undefined;
  json: boolean;
}

const { repo: _, "passphrase-file": ofTarget, "expect-repository": __, ...s3Options } = storageOptions;

const FROM_PASSPHRASE = "BLOCKFERRY_FROM_PASSPHRASE";

const repository = (name: string, describe: string) =>
  ({ type: "string", demandOption: true, requiresArg: true, coerce: once(name), describe }) as const;

export const copyCommand: Command<CopyArguments> = {
  command: "copy [points..]",
  describe: "Copy recovery points into another repository; only chunks missing there are transferred",
  builder: (parser: Argv) =>
    parser
      .positional("points", {
        type: "string",
        array: true,
        default: [],
        describe: "Ids of points, or `latest` of one machine; all points that match if left out",
      })
      .options({
        from: repository("from", "Repository to copy from: s3://BUCKET/PREFIX or a local directory"),
        to: repository("to", "Repository to copy to, made with `init`"),
        "from-passphrase-file": passphraseFileOption("from-passphrase-file", FROM_PASSPHRASE),
        "passphrase-file": { ...ofTarget, describe: `For --to: ${ofTarget.describe}` },
        "expect-from": expectOption("expect-from", "BLOCKFERRY_EXPECT_FROM"),
        "expect-to": expectOption("expect-to", "BLOCKFERRY_EXPECT_REPOSITORY"),
        "tombstone-key": macKeyOption(
          "tombstone-key",
          "ARN of the KMS key that `forget` signs tombstones of --to with: only points with one of these count as forgotten there",
        ),
        ...pointFilterOptions,
        ...s3Options,
      })
      .example("$0 copy --from s3://backups/fleet --to s3://other-account/fleet", "all that is missing there")
      .example(
        "$0 copy latest --from repo --to /mnt/disk/repo",
        "one point, to a disk that is taken away",
      ) as unknown as Argv<CopyArguments>,
  handler: async ({ points, from, to, fromPassphraseFile, json, ...args }) => {
    const filter = parsePointFilter(args);
    if (from === to) throw usage("--from and --to name the same repository.", "Name two repositories.");
    const signal = interruptSignal();
    const toSource = {
      passphrase: passphraseSource(fromPassphraseFile, FROM_PASSPHRASE),
      expect: parsePins("--expect-from", args.expectFrom),
    };
    const source = await open(from, args, toSource, signal);
    const toTarget = {
      passphrase: passphraseSource(args.passphraseFile, "BLOCKFERRY_PASSPHRASE"),
      expect: parsePins("--expect-to", args.expectTo),
    };
    const target = await open(to, args, toTarget, signal);
    if (source.config.id === target.config.id) {
      throw usage(
        `${from} and ${to} are the same repository, or copies of one.`,
        "Name two repositories that `init` created.",
      );
    }
    const tombstoneKey = parseTombstoneKey(args.tombstoneKey, target, signal);
    const watcher = progressWatcher(json);
    const chosen: ChosenPoint[] = [];
    const namedById = new Set<string>();
    const choosePoints = async (storage: Storage) => {
      if (points.length === 0) return allPoints(storage, filter);
      for (const reference of new Set(points)) {
        const choice = await choosePoint(storage, reference, { filter, json, notice: watcher.notice });
        chosen.push(choice);
        if (reference !== "latest") namedById.add(choice.point.id);
      }
      return [...new Map(chosen.map(({ point }) => [point.id, point])).values()];
    };
    const isNamedById = (id: string) => namedById.has(id);
    const report = await copyPoints(source, target, {
      ...{ choosePoints, isNamedById, tombstoneKey, watcher, signal },
    });
    const recoveryPoints = chosen.map(({ record }) => record);
    printResult<AgentOutput<"copy">>(json, { ...report, recoveryPoints }, describe(report, chosen, to));
  },
};

/** Opens one of the two repositories; some options apply only to those in S3, or to local ones. */
function open(
  repo: string,
  args: Omit<StorageArguments, "repo" | "expectRepository">,
  access: Pick<StorageLocation, "passphrase" | "expect">,
  signal: AbortSignal,
): Promise<Repository> {
  const isInS3 = repo.startsWith("s3://");
  const location = storageLocation(
    isInS3
      ? { ...args, repo, expectRepository: undefined, weakDurability: undefined }
      : ({ repo, weakDurability: args.weakDurability } as StorageArguments),
  );
  return openRepository({ ...location, ...access }, signal);
}

/**
 * Returns all points that pass the filter.
 * @throws the first damaged point's error: a copy of all points must include every one
 */
async function allPoints(storage: Storage, filter: PointFilter): Promise<RecoveryPoint[]> {
  const { points, damaged, future } = await listPoints(storage);
  const [problem] = damaged;
  if (problem !== undefined) throw problem;
  return points.filter((point) => meetsFilter(point, filter) && !future.has(point.id));
}

function describe(
  { copied, present, forgotten, chunks, storedBytes }: CopyReport,
  chosen: ChosenPoint[],
  to: string,
): string[] {
  return [
    `${copied.length} points copied to ${to}: ${chunks} chunks were missing there (${formatBytes(storedBytes)}).`,
    ...copied.map((id) => {
      const origin = chosen.find(({ point }) => point.id === id)?.origin;
      return origin === undefined ? `  ${id}` : `  ${id} (${origin})`;
    }),
    ...(present.length === 0 ? [] : [`${present.length} were already there.`]),
    ...(forgotten.length === 0
      ? []
      : [
          `${forgotten.length} were forgotten there and were left out; name them by id to copy them:`,
          ...forgotten.map((id) => `  ${id}`),
        ]),
  ];
}
