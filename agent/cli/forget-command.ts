import type { Argv } from "yargs";
import type { Command } from "../../command-line/command.js";
import { formatTable } from "../../command-line/format.js";
import { checkWholeNumber, once, parseTags, repeated, usage } from "../../command-line/options.js";
import { printResult } from "../../command-line/output.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { findPointId, listPoints, removePoint } from "../../repository/recovery-point.js";
import { openRepository } from "../../repository/repository.js";
import {
  applyPolicy,
  isLocked,
  RETENTION_RULES,
  type RetentionGroup,
  type RetentionPolicy,
} from "../../repository/retention.js";
import type { Storage } from "../../repository/storage/storage.js";

interface ForgetArguments extends StorageArguments {
  points: string[];
  keepLast: number;
  keepHourly: number;
  keepDaily: number;
  keepWeekly: number;
  keepMonthly: number;
  keepYearly: number;
  instance: string | undefined;
  tag: string[];
  dryRun: boolean;
  json: boolean;
}

const keep = (rule: string, what: string) =>
  ({
    type: "number",
    default: 0,
    requiresArg: true,
    coerce: once(`keep-${rule}`),
    group: "Retention, for each instance by itself:",
    describe: `Keep ${what}`,
  }) as const;

export const forgetCommand: Command<ForgetArguments> = {
  command: "forget [points..]",
  describe: "Remove recovery points: those named, or those that no rule keeps; `prune` frees the space",
  builder: (parser: Argv) =>
    parser
      .positional("points", { type: "string", array: true, default: [], describe: "Ids of points to forget" })
      .options({
        ...storageOptions,
        "keep-last": keep("last", "so many of the newest points"),
        "keep-hourly": keep("hourly", "the newest point of each of so many hours"),
        "keep-daily": keep("daily", "the newest point of each of so many days"),
        "keep-weekly": keep("weekly", "the newest point of each of so many weeks"),
        "keep-monthly": keep("monthly", "the newest point of each of so many months"),
        "keep-yearly": keep("yearly", "the newest point of each of so many years"),
        instance: {
          type: "string",
          requiresArg: true,
          coerce: once("instance"),
          describe: "Apply the rules to points of this instance alone",
        },
        tag: {
          type: "string",
          array: true,
          requiresArg: true,
          default: [],
          coerce: repeated("tag"),
          describe: "Apply the rules to points with this tag alone: KEY=VALUE",
        },
        "dry-run": { type: "boolean", default: false, describe: "Only say which rule keeps which point" },
      })
      .example(
        "$0 forget --repo repo --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run",
        "a usual policy",
      )
      .example(
        "$0 forget 20261123T112150Z-3f9a1c2b --repo repo",
        "one point",
      ) as unknown as Argv<ForgetArguments>,
  handler: async (args) => {
    const policy = parsePolicy(args);
    refuseContradictions(args, policy);
    const { storage } = await openRepository(storageLocation(args));
    const groups = policy === undefined ? [] : await judge(storage, args, policy);
    const forgotten = policy === undefined ? await named(storage, args.points) : unkept(groups);
    if (policy === undefined) await refuseLocked(storage, forgotten);
    if (!args.dryRun) for (const id of forgotten) await removePoint(storage, id);
    const result = {
      ...{ dryRun: args.dryRun, forgotten },
      groups: groups.map(({ name, verdicts }) => ({
        name,
        points: verdicts.map(({ point, keptBy }) => ({ id: point.id, createdAt: point.createdAt, keptBy })),
      })),
    };
    printResult(args.json, result, describe(groups, args.dryRun, forgotten));
  },
};

/** @returns undefined when no rule is given @throws Usage */
function parsePolicy(args: ForgetArguments): RetentionPolicy | undefined {
  const policy: RetentionPolicy = {
    last: args.keepLast,
    hourly: args.keepHourly,
    daily: args.keepDaily,
    weekly: args.keepWeekly,
    monthly: args.keepMonthly,
    yearly: args.keepYearly,
  };
  for (const rule of RETENTION_RULES) checkWholeNumber(`keep-${rule}`, policy[rule], 0, 100_000);
  return RETENTION_RULES.some((rule) => policy[rule] > 0) ? policy : undefined;
}

/** @throws Usage */
function refuseContradictions(
  { points, instance, tag }: ForgetArguments,
  policy: RetentionPolicy | undefined,
): void {
  if (points.length > 0 && (policy !== undefined || instance !== undefined || tag.length > 0)) {
    throw usage(
      "Points are named, and rules or filters are given too.",
      "Give the ids alone, or the rules alone.",
    );
  }
  if (points.length === 0 && policy === undefined) {
    throw usage(
      "Nothing says which points to keep.",
      "Give at least one rule, as in --keep-daily 7, or the ids of the points to forget.",
    );
  }
}

/** Of the beginning of an id. An empty one, as of a variable that is not set, would name any point. */
const DATE_LENGTH = "20261123".length;

/** All of them are found before any is forgotten. */
async function named(storage: Storage, references: string[]): Promise<string[]> {
  const short = references.find((reference) => reference.length < DATE_LENGTH);
  if (short !== undefined) {
    throw usage(
      `\`${short}\` is too short to name a point to be forgotten.`,
      "Give its id, or at least the date in it.",
    );
  }
  const ids = new Set<string>();
  for (const reference of references) ids.add(await findPointId(storage, reference));
  return [...ids];
}

/** The rules keep what is locked; who names a point must be told. @throws PointLocked for the first that is */
async function refuseLocked(storage: Storage, ids: string[]): Promise<void> {
  const { points } = await listPoints(storage);
  const locked = points.find((point) => ids.includes(point.id) && isLocked(point));
  if (locked?.lock === undefined) return;
  throw new BlockferryError({
    code: "PointLocked",
    message: `Recovery point ${locked.id} is locked until ${locked.lock.until} (${locked.lock.mode}); nothing was forgotten.`,
    remedy: "Forget it after that, or leave it out.",
    object: locked.id,
  });
}

function unkept(groups: RetentionGroup[]): string[] {
  const verdicts = groups.flatMap((group) => group.verdicts);
  return verdicts.filter(({ keptBy }) => keptBy.length === 0).map(({ point }) => point.id);
}

/** @throws the first damaged point: without it the rules might keep less than they promise */
async function judge(
  storage: Storage,
  { instance, tag }: ForgetArguments,
  policy: RetentionPolicy,
): Promise<RetentionGroup[]> {
  const tags = Object.entries(parseTags(tag));
  const { points, damaged } = await listPoints(storage);
  const [problem] = damaged;
  if (problem !== undefined) throw problem;
  const chosen = points.filter(
    (point) =>
      (instance === undefined || point.instance?.instanceId === instance) &&
      tags.every(([key, value]) => point.tags[key] === value),
  );
  return applyPolicy(chosen, policy);
}

function describe(groups: RetentionGroup[], isDryRun: boolean, forgotten: string[]): string {
  const tables = groups.map(({ name, verdicts }) => {
    const rows = verdicts.map(({ point, keptBy }) => [
      `  ${point.id}`,
      keptBy.length === 0 ? "forgotten" : `kept: ${keptBy.join(", ")}`,
    ]);
    return `${name}\n${formatTable(rows)}`;
  });
  const ids = groups.length > 0 || forgotten.length === 0 ? "" : ` (${forgotten.join(", ")})`;
  const end = isDryRun
    ? `${forgotten.length} points would be forgotten${ids}; nothing was changed.`
    : `${forgotten.length} points forgotten${ids}. \`prune\` frees their space.`;
  return [...tables, end].join("\n");
}
