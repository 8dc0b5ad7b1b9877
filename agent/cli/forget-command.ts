import type { Argv } from "yargs";
import { formatTable } from "../../command-line/format.js";
import { macKeyOption, parseTombstoneKey } from "../../command-line/mac-key-option.js";
import {
  checkWholeNumber,
  once,
  type PointFilterArguments,
  parsePointFilter,
  pointFilterOptions,
  usage,
} from "../../command-line/options.js";
import { canAsk, confirm, printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { BlockferryError } from "../../foundation/errors.js";
import type { RecoveryPoint } from "../../repository/format/recovery-point.js";
import { openRepository } from "../../repository/open/repository.js";
import { findPointId, meetsFilter } from "../../repository/points/find-point.js";
import { wasStoredInTime } from "../../repository/points/point-dates.js";
import { listPoints } from "../../repository/points/points.js";
import {
  applyPolicy,
  isLocked,
  RETENTION_RULES,
  type RetentionGroup,
  type RetentionPolicy,
  severeGroups,
} from "../../repository/points/retention.js";
import { forgetPoint, forgottenIds, type TombstoneKey } from "../../repository/points/tombstone.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { AgentOutput } from "./outputs.js";

interface ForgetArguments extends StorageArguments, PointFilterArguments {
  points: string[];
  keepLast: number;
  keepHourly: number;
  keepDaily: number;
  keepWeekly: number;
  keepMonthly: number;
  keepYearly: number;
  ignoreFuturePoints: boolean;
  tombstoneKey: string | undefined;
  yes: boolean;
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
  describe: "Remove the named recovery points, or all that no rule keeps; `prune` frees the space",
  builder: (parser: Argv) =>
    parser
      .positional("points", { type: "string", array: true, default: [], describe: "Ids of points to forget" })
      .options({
        ...storageOptions,
        "keep-last": keep("last", "the newest N points"),
        "keep-hourly": keep("hourly", "the newest point of each of N hours"),
        "keep-daily": keep("daily", "the newest point of each of N days"),
        "keep-weekly": keep("weekly", "the newest point of each of N weeks"),
        "keep-monthly": keep("monthly", "the newest point of each of N months"),
        "keep-yearly": keep("yearly", "the newest point of each of N years"),
        ...pointFilterOptions,
        "ignore-future-points": {
          type: "boolean",
          default: false,
          describe: "Keep points that are dated in the future, and apply the rules to the others",
        },
        "tombstone-key": macKeyOption(
          "tombstone-key",
          "ARN of the KMS key (HMAC_256) that tombstones are signed with, for `verify` to prove; also signs that of a point named by its id that is gone",
        ),
        yes: {
          type: "boolean",
          default: false,
          describe: "Do not ask when the rules forget more than half of the points of a group",
        },
        "dry-run": { type: "boolean", default: false, describe: "Only show which rule keeps each point" },
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
    const repository = await openRepository({ ...storageLocation(args), freesSpace: true });
    const { storage, config } = repository;
    const key = parseTombstoneKey(args.tombstoneKey, repository);
    const { groups, future } =
      policy === undefined ? { groups: [], future: [] } : await judge(storage, args, policy);
    const forgotten = policy === undefined ? await named(storage, args.points, key) : unkept(groups);
    if (policy === undefined) await refuseLocked(storage, forgotten);
    if (!args.dryRun) {
      await brake(groups, args.yes);
      for (const id of forgotten) await forgetPoint(storage, config, id, key);
    }
    const result = {
      ...{ dryRun: args.dryRun, forgotten, needsYes: severeGroups(groups).map(({ name }) => name) },
      future: future.map((error) => error.toRecord()),
      groups: groups.map(({ name, verdicts }) => ({
        name,
        points: verdicts.map(({ point, keptBy }) => ({ id: point.id, createdAt: point.createdAt, keptBy })),
      })),
    };
    printResult<AgentOutput<"forget">>(
      args.json,
      result,
      describe(groups, { isDryRun: args.dryRun, forgotten, future }),
    );
  },
};

/**
 * @returns undefined if no rule is given
 * @throws Usage
 */
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
  { points, instance, host, volume, tag }: ForgetArguments,
  policy: RetentionPolicy | undefined,
): void {
  const isFiltered = [instance, host, volume, tag].some((value) => value !== undefined);
  if (points.length > 0 && (policy !== undefined || isFiltered)) {
    throw usage(
      "Points are named, but rules or filters are also given.",
      "Give either ids, or rules and filters.",
    );
  }
  if (points.length === 0 && policy === undefined) {
    throw usage(
      "No rule says which points to keep.",
      "Give at least one rule, as in --keep-daily 7, or the ids of the points to forget.",
    );
  }
}

/** Minimum length of an id's beginning. An empty one, as from an unset variable, would match any point. */
const DATE_LENGTH = "20261123".length;

/**
 * Returns the ids of the named points; all are found before any is forgotten.
 * @param key if given, points that are gone already count too, so that their tombstones are signed
 */
async function named(
  storage: Storage,
  references: string[],
  key: TombstoneKey | undefined,
): Promise<string[]> {
  const short = references.find((reference) => reference.length < DATE_LENGTH);
  if (short !== undefined) {
    throw usage(
      `\`${short}\` is too short to name a point to forget.`,
      "Give its id, or at least the date in it.",
    );
  }
  const forgotten = key === undefined ? new Set() : await forgottenIds(storage);
  const ids = new Set<string>();
  for (const reference of references)
    ids.add(forgotten.has(reference) ? reference : await findPointId(storage, reference));
  return [...ids];
}

/**
 * Refuses locked points: rules keep them silently, but a user who names one must get an error.
 * @throws PointLocked for the first locked point
 */
async function refuseLocked(storage: Storage, ids: string[]): Promise<void> {
  const { points } = await listPoints(storage);
  const locked = points.find((point) => ids.includes(point.id) && isLocked(point));
  if (locked?.lock === undefined) return;
  throw new BlockferryError({
    code: "PointLocked",
    message: `Recovery point ${locked.id} is locked until ${locked.lock.until} (${locked.lock.mode}); nothing was forgotten.`,
    remedy: "Forget it after that time, or leave it out.",
    object: locked.id,
  });
}

function unkept(groups: RetentionGroup[]): string[] {
  const verdicts = groups.flatMap((group) => group.verdicts);
  return verdicts.filter(({ keptBy }) => keptBy.length === 0).map(({ point }) => point.id);
}

interface Judgement {
  groups: RetentionGroup[];
  /** Why points that were left out have impossible dates. */
  future: BlockferryError[];
}

/**
 * Applies the rules to the points that pass the filter.
 * @throws the first damaged point's error: without that point the rules might keep less than they promise;
 * PointInFuture unless such points are ignored
 */
async function judge(storage: Storage, args: ForgetArguments, policy: RetentionPolicy): Promise<Judgement> {
  const filter = parsePointFilter(args);
  const { points, damaged, future, stored } = await listPoints(storage);
  const [problem] = damaged;
  if (problem !== undefined) throw problem;
  const chosen = points.filter((point) => meetsFilter(point, filter));
  const doubted = chosen.flatMap(({ id }) => future.get(id) ?? []);
  if (doubted.length > 0 && !args.ignoreFuturePoints) throw datedInFuture(doubted, chosen.length);
  const trusted = chosen.filter(({ id }) => !future.has(id));
  const isProven = ({ id }: RecoveryPoint) => wasStoredInTime(id, stored.get(id) ?? {});
  return { groups: applyPolicy(trusted, policy, isProven), future: doubted };
}

const MAX_NAMED = 20;

function datedInFuture(doubted: BlockferryError[], total: number): BlockferryError {
  const rest = doubted.length - MAX_NAMED;
  const isAll = doubted.length === total;
  return new BlockferryError({
    code: "PointInFuture",
    message: isAll
      ? `All ${total} points are dated in the future: the clock of this machine may be behind (it says ${new Date().toISOString()}). Nothing was forgotten.`
      : `${doubted.length} of ${total} points are dated in the future. Nothing was forgotten.`,
    details: [
      ...doubted.slice(0, MAX_NAMED).map(({ message }) => message),
      ...(rest > 0 ? [`... and ${rest} more`] : []),
    ],
    remedy: isAll
      ? "Set the clock of this machine, and run the command again."
      : "Find out where they came from. `forget ID...` removes them; --ignore-future-points keeps them and applies the rules to the others.",
  });
}

interface ForgetOutcome {
  isDryRun: boolean;
  forgotten: string[];
  future: BlockferryError[];
}

function describe(groups: RetentionGroup[], { isDryRun, forgotten, future }: ForgetOutcome): string[] {
  const tables = groups.flatMap(({ name, verdicts }) => {
    const rows = verdicts.map(({ point, keptBy }) => [
      `  ${point.id}`,
      keptBy.length === 0 ? "forgotten" : `kept: ${keptBy.join(", ")}`,
    ]);
    return [name, ...formatTable(rows)];
  });
  const ids = groups.length > 0 || forgotten.length === 0 ? "" : ` (${forgotten.join(", ")})`;
  const end = isDryRun
    ? `${forgotten.length} points would be forgotten${ids}; nothing was changed.`
    : `${forgotten.length} points forgotten${ids}. \`prune\` frees their space.`;
  const kept = future.map(({ message }) => `${message} It is kept, and not counted.`);
  const severe = isDryRun ? severeGroups(groups) : [];
  const asks = severe.map(
    ({ name }) => `${name}: more than half of the points; forgetting them needs --yes.`,
  );
  return [...tables, ...kept, ...asks, end];
}

/**
 * Stops retention rules that would forget more than half of a group.
 * It asks on a terminal and refuses elsewhere. Forged points, a wrong clock and a mistyped rule all have this
 * effect.
 * @throws ForgetBraked, Interrupted
 */
async function brake(groups: readonly RetentionGroup[], yes: boolean): Promise<void> {
  const severe = yes ? [] : severeGroups(groups);
  if (severe.length === 0) return;
  const lines = severe.flatMap(describeGroup);
  const message = `The rules would forget more than half of the points of ${severe.length === 1 ? "a group" : `${severe.length} groups`}; nothing was forgotten.`;
  if (canAsk() && (await confirm(lines, "Forget these points?"))) return;
  throw new BlockferryError({
    code: "ForgetBraked",
    message,
    details: lines,
    remedy:
      "Check these points and the ones that would stay (--dry-run shows both). If the result is right, run the command again with --yes.",
  });
}

function describeGroup({ name, verdicts }: RetentionGroup): string[] {
  const forgotten = verdicts.filter(({ keptBy }) => keptBy.length === 0).map(({ point }) => point.id);
  const rest = forgotten.length - MAX_NAMED;
  return [
    `${name}: ${forgotten.length} of ${verdicts.length} points`,
    ...forgotten.slice(0, MAX_NAMED).map((id) => `  ${id}`),
    ...(rest > 0 ? [`  ... and ${rest} more`] : []),
  ];
}
