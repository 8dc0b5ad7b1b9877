/** The locations of the instance and its worker, which decide the route. */
interface Situation {
  accounts: "same" | "different";
  regions: "same" | "different";
  /** Whether `--bridge-key` is given. */
  bridge: "given" | "none";
}

export const ROUTES = [
  "same-account",
  "cross-account",
  "cross-account-bridge",
  "cross-region",
  "cross-account-region",
  "cross-account-region-bridge",
] as const;

export type Route = (typeof ROUTES)[number];

/** Kind of the key of a volume, which decides whether its snapshots can be shared. */
export type KeyKind = "none" | "customer" | "aws-managed";

/**
 * How each route gets from snapshots to volumes.
 * `bridges`: which snapshots the source's account copies first. `workerCopies`: whether the worker's account
 * copies the snapshots. Both copy into the worker's Region.
 * AWS: "Share an Amazon EBS snapshot", "Copy an Amazon EBS snapshot".
 */
export const ROUTE_TABLE: Record<
  Route,
  { title: string; bridges: "none" | "unshareable" | "all"; shares: boolean; workerCopies: boolean }
> = {
  "same-account": { title: "same account", bridges: "none", shares: false, workerCopies: false },
  "cross-account": { title: "across accounts", bridges: "none", shares: true, workerCopies: false },
  "cross-account-bridge": {
    title: "across accounts, with a bridge key",
    bridges: "unshareable",
    shares: true,
    workerCopies: false,
  },
  "cross-region": {
    title: "same account, to another Region",
    bridges: "all",
    shares: false,
    workerCopies: false,
  },
  "cross-account-region": {
    title: "across accounts, to another Region",
    bridges: "none",
    shares: true,
    workerCopies: true,
  },
  "cross-account-region-bridge": {
    title: "across accounts, to another Region, with a bridge key",
    bridges: "all",
    shares: true,
    workerCopies: false,
  },
};

/** Returns the route for a situation. */
export function chooseRoute({ accounts, regions, bridge }: Situation): Route {
  if (accounts === "same") return regions === "same" ? "same-account" : "cross-region";
  if (regions === "same") return bridge === "given" ? "cross-account-bridge" : "cross-account";
  return bridge === "given" ? "cross-account-region-bridge" : "cross-account-region";
}

/** Returns whether the source's account copies the snapshot before it shares it. */
export function isBridged(route: Route, key: KeyKind): boolean {
  const { bridges } = ROUTE_TABLE[route];
  return bridges === "all" || (bridges === "unshareable" && key === "aws-managed");
}

/**
 * Returns whether a route cannot carry a volume with this key.
 * Snapshots under an AWS-managed key cannot be shared with any account.
 */
export function isRefused(route: Route, key: KeyKind): boolean {
  return ROUTE_TABLE[route].shares && key === "aws-managed" && !isBridged(route, key);
}
