/**
 * A model of the protocol between `prune` and concurrent runs, for a repository with one chunk. It tries
 * every interleaving of their requests. At any moment it may kill any run, or wrongly guess that a run is
 * dead. repository/protocol/README.md has the argument. The steps are those of
 * agent/maintenance/sweep.ts, repository/protocol/condemnation.ts and repository/protocol/commit.ts.
 */

/** Rules that a test can switch off, to show that the model needs each. */
export interface Rules {
  /** A backup writes its lease before it reads the condemnations. */
  leaseBeforeCondemnations: boolean;
  /** A backup checks its lease again after it has written its point. */
  leaseAfterPoint: boolean;
  /** A condemned pack stays until all runs that existed at its condemnation have ended. */
  waitForWitnesses: boolean;
  /** It also stays until all readers have ended that may have listed the points before. */
  waitForReaders: boolean;
  /** A needed pack is removed from its condemnation. */
  pardon: boolean;
  /** Prune checks whether the witnesses have ended before it lists the points, not after. */
  witnessesBeforePoints: boolean;
}

export const ALL_RULES: Rules = {
  leaseBeforeCondemnations: true,
  leaseAfterPoint: true,
  waitForWitnesses: true,
  waitForReaders: true,
  pardon: true,
  witnessesBeforePoints: true,
};

export interface Scenario {
  backups: number;
  readers: number;
  prunes: number;
}

type Id = number;

/** Packs with the chunk: 0 exists at first, and backup n may store pack n + 1. */
interface Condemnation {
  packs: Id[];
  witnesses: Id[] | undefined;
  readers: Id[] | undefined;
}

interface Run {
  kind: "backup" | "reader";
  step: number;
  outcome: "running" | "done" | "failed" | "killed";
  /** The backup has reported its point. */
  counts: boolean;
  /** Packs that the run found, in the order in which it would read them. */
  found: Id[];
  condemned: Id[];
}

interface Prune {
  step: PruneStep;
  isSecondSweep: boolean;
  /** Index of the condemnation that prune checks. */
  at: number;
  seen: Condemnation[];
  judgeable: Id[];
  due: Id[];
  isNeeded: boolean;
  packs: Id[];
  keeper: Id | undefined;
  toRemove: Id[];
  listed: Id[];
}

type PruneStep =
  | "leases"
  | "condemnations"
  | "witnesses-list"
  | "witnesses-put"
  | "witnesses-look"
  | "points"
  | "packs"
  | "pardon"
  | "readers-list"
  | "readers-put"
  | "readers-look"
  | "prove"
  | "delete"
  | "end"
  | "condemn"
  | "condemned-list"
  | "condemned-put"
  | "ended";

interface State {
  packs: Id[];
  /** Ids of the runs that wrote them; -1 for the point that exists at first. */
  points: Id[];
  leases: Id[];
  condemnations: Condemnation[];
  runs: Run[];
  prune: Prune | undefined;
  prunesLeft: number;
}

interface Violation {
  what: string;
  trace: string[];
}

interface Exploration {
  states: number;
  violation: Violation | undefined;
}

/** Tries all interleavings of a scenario. */
export function explore(scenario: Scenario, rules: Rules): Exploration {
  const first = initial(scenario);
  const seen = new Map<string, { from: string | undefined; action: string }>();
  const start = JSON.stringify(first);
  seen.set(start, { from: undefined, action: "" });
  const queue = [start];
  for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
    for (const [action, next, what] of successors(JSON.parse(key) as State, rules)) {
      if (what !== undefined)
        return { states: seen.size, violation: { what, trace: traceTo(seen, key, action) } };
      const nextKey = JSON.stringify(next);
      if (seen.has(nextKey)) continue;
      seen.set(nextKey, { from: key, action });
      queue.push(nextKey);
    }
  }
  return { states: seen.size, violation: undefined };
}

function traceTo(
  seen: Map<string, { from: string | undefined; action: string }>,
  key: string,
  last: string,
): string[] {
  const trace = [last];
  for (let at: string | undefined = key; at !== undefined; ) {
    const step = seen.get(at);
    if (step === undefined || step.from === undefined) break;
    trace.push(step.action);
    at = step.from;
  }
  return trace.reverse();
}

function initial({ backups, readers, prunes }: Scenario): State {
  const run = (kind: Run["kind"]): Run => ({
    kind,
    step: 0,
    outcome: "running",
    counts: false,
    found: [],
    condemned: [],
  });
  return {
    ...{ packs: [0], points: [-1], leases: [], condemnations: [] },
    runs: [
      ...Array.from({ length: backups }, () => run("backup")),
      ...Array.from({ length: readers }, () => run("reader")),
    ],
    ...{ prune: undefined, prunesLeft: prunes },
  };
}

type Successor = [action: string, next: State, violation?: string | undefined];

/** Yields every state that one request, one kill or one `forget` leads to. */
function* successors(state: State, rules: Rules): Generator<Successor> {
  for (const [id, run] of state.runs.entries()) {
    if (run.outcome !== "running") continue;
    const next = copyOf(state);
    const failure = run.kind === "backup" ? stepBackup(next, id, rules) : stepReader(next, id);
    yield checked(`${run.kind} ${id} step ${run.step}`, next, failure);
    if (run.step > 0) {
      const killed = copyOf(state);
      (killed.runs[id] as Run).outcome = "killed";
      yield checked(`${run.kind} ${id} killed`, killed);
    }
  }
  for (const point of state.points) {
    if (!counts(state, point)) continue;
    const next = copyOf(state);
    next.points = next.points.filter((other) => other !== point);
    yield checked(`forget ${point}`, next);
  }
  if (state.prune === undefined) {
    if (state.prunesLeft > 0) {
      const next = copyOf(state);
      next.prunesLeft--;
      next.prune = newPrune();
      yield checked("prune starts", next);
    }
    return;
  }
  for (const next of stepPrune(state, rules)) yield checked(`prune ${state.prune.step}`, next);
  const killed = copyOf(state);
  killed.prune = undefined;
  yield checked("prune killed", killed);
}

/** Returns whether a user may rely on a point: it existed at first, or its backup has reported it. */
function counts({ runs }: State, point: Id): boolean {
  return point === -1 || runs[point]?.counts === true;
}

function copyOf<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** Adds the violation, if a point that counts has lost its chunk. */
function checked(action: string, next: State, failure?: string): Successor {
  const isLost = next.packs.length === 0 && next.points.some((point) => counts(next, point));
  return [action, next, failure ?? (isLost ? "a recovery point lost its chunk" : undefined)];
}

function stepBackup(state: State, id: Id, rules: Rules): undefined {
  const run = state.runs[id] as Run;
  const readCondemnations = () => {
    run.condemned = state.condemnations.flatMap(({ packs }) => packs);
  };
  const writeLease = () => state.leases.push(id);
  const fail = () => {
    run.outcome = "failed";
    state.points = state.points.filter((point) => point !== id);
    state.leases = state.leases.filter((lease) => lease !== id);
  };
  const isHeld = state.leases.includes(id);
  switch (run.step++) {
    case 0:
      if (rules.leaseBeforeCondemnations) writeLease();
      else readCondemnations();
      return;
    case 1:
      if (rules.leaseBeforeCondemnations) readCondemnations();
      else writeLease();
      return;
    case 2:
      run.found = state.packs.filter((pack) => !run.condemned.includes(pack));
      return;
    case 3:
      if (run.found.length === 0) state.packs = [...state.packs, id + 1].sort();
      return;
    case 4:
      if (!isHeld) fail();
      return;
    case 5:
      state.points = [...state.points, id].sort();
      return;
    case 6:
      if (!isHeld && rules.leaseAfterPoint) fail();
      else run.counts = true;
      run.found = [];
      run.condemned = [];
      return;
    default:
      run.outcome = "done";
      state.leases = state.leases.filter((lease) => lease !== id);
  }
}

/** Runs the next step of a reader. @returns the violation, if there is one */
function stepReader(state: State, id: Id): string | undefined {
  const run = state.runs[id] as Run;
  switch (run.step++) {
    case 0:
      state.leases.push(id);
      return undefined;
    case 1:
      // A point that its backup has not reported may be withdrawn, and its restore may fail.
      if (!state.points.some((point) => counts(state, point))) run.outcome = "done";
      return undefined;
    case 2:
      run.condemned = state.condemnations.flatMap(({ packs }) => packs);
      return undefined;
    case 3: {
      const isCondemned = (pack: Id) => Number(run.condemned.includes(pack));
      run.found = [...state.packs].sort((a, b) => isCondemned(a) - isCondemned(b));
      return undefined;
    }
    default: {
      const isRead = run.found.some((pack) => state.packs.includes(pack));
      const isHeld = state.leases.includes(id);
      run.outcome = isRead ? "done" : "failed";
      state.leases = state.leases.filter((lease) => lease !== id);
      run.found = [];
      run.condemned = [];
      return !isRead && isHeld ? "a reader with a lease did not find its chunk" : undefined;
    }
  }
}

function newPrune(): Prune {
  return {
    ...{
      step: "leases" as const,
      isSecondSweep: false,
      at: 0,
      seen: [],
      judgeable: [],
      due: [],
      isNeeded: false,
    },
    ...{ packs: [], keeper: undefined, toRemove: [], listed: [] },
  };
}

/** Returns the states after the next step. Most steps have one; guesses about dead runs have several. */
function stepPrune(state: State, rules: Rules): State[] {
  const next = copyOf(state);
  const prune = next.prune as Prune;
  const go = (step: PruneStep) => {
    prune.step = step;
    return [next];
  };
  const condemnation = next.condemnations[prune.at];
  const look = (which: "witnesses" | "readers", among: Id[], then: PruneStep): State[] => {
    const isWaitedFor = which === "witnesses" ? rules.waitForWitnesses : rules.waitForReaders;
    const waits = isWaitedFor && (condemnation?.[which] ?? []).some((lease) => next.leases.includes(lease));
    if (!waits) among.push(prune.at);
    prune.at++;
    return go(then);
  };
  switch (prune.step) {
    case "leases":
      return guesses(state, "condemnations");
    case "condemnations":
      prune.seen = copyOf(next.condemnations);
      prune.at = 0;
      return go(rules.witnessesBeforePoints ? "witnesses-list" : "points");
    case "witnesses-list":
      if (prune.at >= prune.seen.length) return go(rules.witnessesBeforePoints ? "points" : "packs");
      prune.listed = [...next.leases];
      return go(condemnation?.witnesses === undefined ? "witnesses-put" : "witnesses-look");
    case "witnesses-put":
      if (condemnation !== undefined) condemnation.witnesses = prune.listed;
      return go("witnesses-look");
    case "witnesses-look":
      return look("witnesses", prune.judgeable, "witnesses-list");
    case "points":
      prune.isNeeded = next.points.length > 0;
      return go(rules.witnessesBeforePoints ? "packs" : "witnesses-list");
    case "packs": {
      prune.packs = [...next.packs];
      const condemned = prune.seen.flatMap(({ packs }) => packs);
      const isCondemned = (pack: Id) => Number(condemned.includes(pack));
      const ranked = [...prune.packs].sort((a, b) => isCondemned(a) - isCondemned(b) || a - b);
      prune.keeper = prune.isNeeded ? ranked[0] : undefined;
      return go("pardon");
    }
    case "pardon":
      if (rules.pardon)
        for (const one of next.condemnations) one.packs = one.packs.filter((pack) => pack !== prune.keeper);
      prune.at = 0;
      return go("readers-list");
    case "readers-list":
      while (prune.at < prune.seen.length && !prune.judgeable.includes(prune.at)) prune.at++;
      if (prune.at >= prune.seen.length) return go("prove");
      prune.listed = [...next.leases];
      return go(next.condemnations[prune.at]?.readers === undefined ? "readers-put" : "readers-look");
    case "readers-put":
      if (condemnation !== undefined) condemnation.readers = prune.listed;
      return go("readers-look");
    case "readers-look":
      return look("readers", prune.due, "readers-list");
    case "prove": {
      const isStaying = (pack: Id) => prune.keeper === pack && next.packs.includes(pack);
      const isProven = !prune.isNeeded || prune.packs.some(isStaying);
      const due = prune.due.flatMap((at) => next.condemnations[at]?.packs ?? []);
      prune.toRemove = isProven ? due.filter((pack) => pack !== prune.keeper || !rules.pardon) : [];
      return go("delete");
    }
    case "delete":
      next.packs = next.packs.filter((pack) => !prune.toRemove.includes(pack));
      return go("end");
    case "end":
      next.condemnations = next.condemnations.filter((_, at) => !prune.due.includes(at));
      return go(prune.isSecondSweep ? "ended" : "condemn");
    case "condemn": {
      const condemned = next.condemnations.flatMap(({ packs }) => packs);
      const gone = new Set([...condemned, ...prune.toRemove]);
      const ripe = prune.packs.filter((pack) => pack !== prune.keeper && !gone.has(pack));
      if (ripe.length === 0) return go("ended");
      next.condemnations.push({ packs: ripe, witnesses: undefined, readers: undefined });
      return go("condemned-list");
    }
    case "condemned-list":
      prune.listed = [...next.leases];
      return go("condemned-put");
    case "condemned-put": {
      const last = next.condemnations.at(-1);
      if (last !== undefined) last.witnesses = prune.listed;
      next.prune = { ...newPrune(), isSecondSweep: true };
      return [next];
    }
    case "ended":
      next.prune = undefined;
      return [next];
  }
}

/** Returns a state for each set of leases that prune may consider dead, rightly or not. */
function guesses(state: State, then: PruneStep): State[] {
  const states: State[] = [];
  const { leases } = state;
  for (let set = 0; set < 2 ** leases.length; set++) {
    const next = copyOf(state);
    next.leases = leases.filter((_, bit) => (set & (2 ** bit)) === 0);
    (next.prune as Prune).step = then;
    states.push(next);
  }
  return states;
}
