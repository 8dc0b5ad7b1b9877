/** What goes wrong: an error as AWS answers it, or an effect that takes its course. */
export interface LabFault {
  /** Name of the API action, such as `CreateVolume`, or `*`. */
  action: string;
  times?: number;
  /** Calls that pass first. */
  after?: number;
  /** Whether calls with DryRun are meant; all others otherwise. */
  dryRun?: boolean;
  account?: string;
  /** Part of one of the call's parameters, such as a key in S3. */
  naming?: string;
  /** The fault begins with a call whose body has this in it; bodies are those of EC2, KMS and of `jobs/` in S3. */
  since?: { action: string; body: string };
  /** Whom an effect on workers strikes: an instance's id, or those that jobs have launched; all with an agent without it. */
  worker?: string | "launched";
  /** ARN of the key that `disable-key` disables, before the call is served. */
  key?: string;
  error?: { code: string; message: string; status?: number };
  effect?: CallEffect | WorkerEffect;
}

/** `list-nothing` and `list-one`: a Describe call sees no resource, or one alone; `stale-tags`: it sees removed tags as they were. The last two: the call is served, and its connection closed, or kept without an answer until faults are cleared. */
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

/** One call, as the server saw it. */
export interface LabRequest {
  /** Seconds since 1970. */
  time: number;
  account: string | null;
  principal: string | null;
  service: string;
  action: string;
  region: string;
  parameters: Record<string, unknown>;
  /** The volumes, snapshots, instances and instance profiles that it names, as they were when it came in. */
  named: Record<string, NamedResource>;
  /** Who made it in the principal's name, as KMS calls it: `ec2.us-east-1.amazonaws.com` is EBS. Null for the principal itself. */
  via: string | null;
  error: { code: string; status: number } | null;
}

/** What IAM decides by. */
interface NamedResource extends Placed {
  tags: Record<string, string>;
  /** Volumes of an instance, the instance of a volume, or ARNs of the roles in an instance profile. */
  attached: string[];
}

interface Placed {
  account: string;
  region: string;
}

/** Everything that exists; what is made and removed again leaves it equal. */
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
  /** Ids that have a disk. */
  disks: string[];
  /** Process id by instance; those that run. */
  agents: Record<string, number>;
}

export interface LabSettings {
  /** How long a snapshot is pending, a volume creating, an attachment attaching. */
  latencyMs: number;
  /** How long a new id is NotFound, and in no listing. */
  invisibleMs: number;
  /** What becomes of a volume whose key can't be used. */
  unusableKey: "error" | "vanish";
  /** Volumes that an instance takes; null for what its type says. */
  attachLimit: number | null;
  /** From the interruption notice of a spot instance to its end. */
  spotNoticeMs: number;
  /** The job key that images give to the agents of instances that start from now on; null for none. */
  jobKey: string | null;
}

/** The lab's own API. */
export class LabControl {
  constructor(private readonly endpointUrl: string) {}

  addFault(fault: LabFault): Promise<void> {
    return this.call("POST", "faults", fault);
  }

  /** How often each fault has struck, in the order in which they were added. */
  metFaults(): Promise<number[]> {
    return this.call("GET", "faults");
  }

  clearFaults(): Promise<void> {
    return this.call("DELETE", "faults");
  }

  /** Strikes at once: one worker, or all. */
  strike(effect: WorkerEffect, worker?: string): Promise<void> {
    return this.call("POST", "effects", { effect, worker });
  }

  /** How many calls have been served and wait for an answer. */
  withheld(): Promise<number> {
    return this.call("GET", "withheld");
  }

  /** Lets a role of an account do what an IAM policy says, instead of everything. */
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
