import type { RecoveryPoint } from "./recovery-point.js";

/** How many points a rule keeps. Of each period with points in it the newest one is kept, for so many of the newest periods. */
export interface RetentionPolicy {
  last: number;
  hourly: number;
  daily: number;
  weekly: number;
  monthly: number;
  yearly: number;
}

export type RetentionRule = keyof RetentionPolicy;

export const RETENTION_RULES: readonly RetentionRule[] = [
  "last",
  "hourly",
  "daily",
  "weekly",
  "monthly",
  "yearly",
];

/** A point, and the rules that keep it; none of them means that it is to be forgotten. */
interface Verdict {
  point: RecoveryPoint;
  keptBy: (RetentionRule | "lock")[];
}

/** Points of one instance, or of one machine and set of volumes: the policy holds for each by itself. */
export interface RetentionGroup {
  name: string;
  /** Newest first. */
  verdicts: Verdict[];
}

/** Applies a policy to each group of points. All periods are of UTC; weeks begin on Monday (ISO 8601). */
export function applyPolicy(points: readonly RecoveryPoint[], policy: RetentionPolicy): RetentionGroup[] {
  const groups = new Map<string, RecoveryPoint[]>();
  for (const point of points) {
    const name = groupOf(point);
    groups.set(name, [...(groups.get(name) ?? []), point]);
  }
  return [...groups].map(([name, members]) => ({ name, verdicts: judge(members, policy) }));
}

function groupOf({ instance, hostname, volumes }: RecoveryPoint): string {
  if (instance !== undefined) return instance.instanceId;
  const names = volumes.map(({ name }) => name).sort();
  return `${hostname}: ${names.join(", ")}`;
}

function judge(points: RecoveryPoint[], policy: RetentionPolicy): Verdict[] {
  const newestFirst = points.toSorted(
    (a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt) || (a.id < b.id ? 1 : -1),
  );
  const left = { ...policy };
  const lastPeriod: Partial<Record<RetentionRule, string>> = {};
  return newestFirst.map((point) => {
    const keptBy = RETENTION_RULES.filter((rule) => {
      const period = PERIOD_OF[rule](point);
      if (left[rule] === 0 || lastPeriod[rule] === period) return false;
      lastPeriod[rule] = period;
      left[rule] -= 1;
      return true;
    });
    return { point, keptBy: isLocked(point) ? [...keptBy, "lock"] : keptBy };
  });
}

/** Whether nobody may forget a point yet, whatever the rules say. */
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
