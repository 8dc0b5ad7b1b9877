/** A fault: an error that AWS answers, or an effect. */
export interface LabFault {
  /** Name of the API action, such as `CreateVolume`, or `*`. */
  action: string;
  times?: number;
  /** Number of calls that pass first. */
  after?: number;
  /** True: strikes calls with DryRun only. Otherwise it strikes all other calls only. */
  dryRun?: boolean;
  account?: string;
  /** Part of one of the call's parameters, such as a key in S3. */
  naming?: string;
  /**
   * The fault starts with a call whose body contains this text. Only bodies of EC2, KMS and of `jobs/` in S3
   * are recorded.
   */
  since?: { action: string; body: string };
  /**
   * Target of an effect on workers: the id of an instance, or the instances that jobs launched. All instances
   * with an agent if undefined.
   */
  worker?: string | "launched";
  /** ARN of the key that `disable-key` disables before the call is served. */
  key?: string;
  error?: { code: string; message: string; status?: number };
  effect?: CallEffect | WorkerEffect;
}

/**
 * `list-nothing` and `list-one`: a Describe call sees no resource, or only one. `stale-tags`: it still sees
 * removed tags. `lose-answer`: the call is served, and its connection is closed. `withhold-answer`: the call
 * is served, and its answer waits until the faults are cleared.
 */
type CallEffect =
  | "throttle"
  | "volume-error"
  | "snapshot-error"
  | "never-attach"
  | "disable-key"
  | "list-nothing"
  | "list-one"
  | "stale-tags"
  | "lose-answer"
  | "withhold-answer";

export type WorkerEffect = "kill-agent" | "hang-agent" | "terminate-worker" | "spot-interrupt";

/** A call, as the server received it. */
export interface LabRequest {
  /** Seconds since 1970. */
  time: number;
  account: string | null;
  principal: string | null;
  service: string;
  action: string;
  region: string;
  parameters: Record<string, unknown>;
  /**
   * The volumes, snapshots, instances and instance profiles that the call names, in their state when it
   * arrived.
   */
  named: Record<string, NamedResource>;
  /**
   * Service that made the call in the principal's name, as KMS calls it: `ec2.us-east-1.amazonaws.com` is
   * EBS. Null for the principal itself.
   */
  via: string | null;
  error: { code: string; status: number } | null;
}

/** Properties of a resource that IAM uses in its decision. */
interface NamedResource extends Placed {
  tags: Record<string, string>;
  /** Volumes of an instance, the instance of a volume, or ARNs of the roles in an instance profile. */
  attached: string[];
}

interface Placed {
  account: string;
  region: string;
}

/** Everything that exists in the lab. It is unchanged after resources are made and removed again. */
export interface LabResources {
  instances: (Placed & { id: string; state: string; tags: Record<string, string> })[];
  volumes: (Placed & {
    id: string;
    state: string;
    whyFailed: string | null;
    key: string | null;
    attachedTo: string | null;
    tags: Record<string, string>;
  })[];
  snapshots: (Placed & {
    id: string;
    state: string;
    key: string | null;
    sharedWith: string[];
    tags: Record<string, string>;
  })[];
  grants: (Placed & { key: string; grantee: string })[];
  /** Device by volume. */
  loopDevices: Record<string, string>;
  /** Ids of volumes and snapshots that have a disk. */
  disks: string[];
  /** Process ids of running agents, by instance. */
  agents: Record<string, number>;
}

export interface LabSettings {
  /** Duration of the states pending (snapshot), creating (volume) and attaching (attachment). */
  latencyMs: number;
  /** Time during which a new id is NotFound and missing in listings. */
  invisibleMs: number;
  /** Fate of a volume whose key can't be used. */
  unusableKey: "error" | "vanish";
  /** Number of volumes that can be attached to an instance; null for the limit of its type. */
  attachLimit: number | null;
  /** Time from the interruption notice of a spot instance to its end. */
  spotNoticeMs: number;
  /** The job key that images configure for agents of instances that start from now on; null for none. */
  jobKey: string | null;
  /** The reply key, in the same way. */
  replyKey: string | null;
}

/** A client of the lab's own API. */
export class LabControl {
  constructor(private readonly endpointUrl: string) {}

  addFault(fault: LabFault): Promise<void> {
    return this.call("POST", "faults", fault);
  }

  /** Returns how often each fault has struck, in the order in which they were added. */
  metFaults(): Promise<number[]> {
    return this.call("GET", "faults");
  }

  clearFaults(): Promise<void> {
    return this.call("DELETE", "faults");
  }

  /** Applies an effect at once. @param worker all workers if undefined */
  strike(effect: WorkerEffect, worker?: string): Promise<void> {
    return this.call("POST", "effects", { effect, worker });
  }

  /** Returns the number of served calls whose answer is withheld. */
  withheld(): Promise<number> {
    return this.call("GET", "withheld");
  }

  /** Restricts a role of an account to an IAM policy; without one it may do everything. */
  allow(account: string, role: string, policy: object): Promise<void> {
    return this.call("POST", "policies", { account, role, policy });
  }

  requests(): Promise<LabRequest[]> {
    return this.call("GET", "requests");
  }

  clearRequests(): Promise<void> {
    return this.call("DELETE", "requests");
  }

  resources(): Promise<LabResources> {
    return this.call("GET", "resources");
  }

  settings(): Promise<LabSettings> {
    return this.call("GET", "settings");
  }

  change(settings: Partial<LabSettings>): Promise<void> {
    return this.call("POST", "settings", settings);
  }

  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const request = body === undefined ? { method } : { method, body: JSON.stringify(body) };
    const response = await fetch(`${this.endpointUrl}/lab/${path}`, request);
    const answer = (await response.json()) as T;
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }
}
