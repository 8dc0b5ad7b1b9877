import type { RecoveryPoint } from "../format/recovery-point.js";

/**
 * Points that each rule keeps: the newest point of a period, for this number of the newest periods with
 * points in them.
 */
export interface RetentionPolicy {
  last: number;
  hourly: number;
  daily: number;
  weekly: number;
  monthly: number;
  yearly: number;
}

type RetentionRule = keyof RetentionPolicy;

export const RETENTION_RULES: readonly RetentionRule[] = [
  "last",
  "hourly",
  "daily",
  "weekly",
  "monthly",
  "yearly",
];

/** A point, and the rules that keep it; without any rule it will be forgotten. */
interface Verdict {
  point: RecoveryPoint;
  keptBy: (RetentionRule | "lock")[];
}

/**
 * Points of one instance, or of one machine and set of volumes. The policy applies to each group separately.
 */
export interface RetentionGroup {
  name: string;
  /** Newest first. */
  verdicts: Verdict[];
}

/**
 * Applies a policy to each group of points. All periods are in UTC; weeks start on Monday (ISO 8601).
 * @param isProven returns whether the date of a point is confirmed. The policy applies to the proven points
 * alone, and to all points. So points with unconfirmed dates can only be kept in addition, and never
 * replace a proven one
 */
export function applyPolicy(
  points: readonly RecoveryPoint[],
  policy: RetentionPolicy,
  isProven: (point: RecoveryPoint) => boolean = () => true,
): RetentionGroup[] {
  const groups = new Map<string, RecoveryPoint[]>();
  for (const point of points) {
    const name = groupOf(point);
    groups.set(name, [...(groups.get(name) ?? []), point]);
  }
  return [...groups].map(([name, members]) => ({ name, verdicts: judge(members, policy, isProven) }));
}

/** Returns groups that would lose more than half of their points. */
export function severeGroups(groups: readonly RetentionGroup[]): RetentionGroup[] {
  return groups.filter(({ verdicts }) => {
    const forgotten = verdicts.filter(({ keptBy }) => keptBy.length === 0);
    return forgotten.length > verdicts.length / 2;
  });
}

function groupOf({ instance, hostname, volumes }: RecoveryPoint): string {
  if (instance !== undefined) return instance.instanceId;
  const names = volumes.map(({ name }) => name).sort();
  return `${hostname}: ${names.join(", ")}`;
}

function judge(
  points: RecoveryPoint[],
  policy: RetentionPolicy,
  isProven: (point: RecoveryPoint) => boolean,
): Verdict[] {
  const newestFirst = points.toSorted(
    (a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt) || (a.id < b.id ? 1 : -1),
  );
  const ofAll = rulesKeeping(newestFirst, policy);
  const ofProven = rulesKeeping(newestFirst.filter(isProven), policy);
  return newestFirst.map((point) => {
    const keptBy = RETENTION_RULES.filter(
      (rule) => ofAll.get(point)?.has(rule) || ofProven.get(point)?.has(rule),
    );
    return { point, keptBy: isLocked(point) ? [...keptBy, "lock"] : keptBy };
  });
}

function rulesKeeping(
  newestFirst: RecoveryPoint[],
  policy: RetentionPolicy,
): Map<RecoveryPoint, Set<RetentionRule>> {
  const left = { ...policy };
  const lastPeriod: Partial<Record<RetentionRule, string>> = {};
  const keepers = newestFirst.map((point) => {
    const rules = RETENTION_RULES.filter((rule) => {
      const period = PERIOD_OF[rule](point);
      if (left[rule] === 0 || lastPeriod[rule] === period) return false;
      lastPeriod[rule] = period;
      left[rule] -= 1;
      return true;
    });
    return [point, new Set(rules)] as const;
  });
  return new Map(keepers);
}

/** Returns whether a lock forbids forgetting the point now, regardless of the rules. */
export function isLocked({ lock }: RecoveryPoint): boolean {
  return lock !== undefined && Date.parse(lock.until) > Date.now();
}

const PERIOD_OF: Record<RetentionRule, (point: RecoveryPoint) => string> = {
  last: ({ id }) => id,
  hourly: ({ createdAt }) => createdAt.slice(0, 13),
  daily: ({ createdAt }) => createdAt.slice(0, 10),
  weekly: ({ createdAt }) => mondayOf(createdAt),
  monthly: ({ createdAt }) => createdAt.slice(0, 7),
  yearly: ({ createdAt }) => createdAt.slice(0, 4),
};

function mondayOf(createdAt: string): string {
  const day = new Date(`${createdAt.slice(0, 10)}T00:00:00Z`);
  day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7));
  return day.toISOString().slice(0, 10);
}
