import type { Plan, RestorePlan } from "../../controller/plan/plan.js";
import { Signing } from "../../controller/plan/signing.js";
import { newConfig, type RepositoryConfig } from "../../repository/format/config.js";
import { expectationOf } from "../../repository/open/expectation.js";

export const SOURCE_KEY = "arn:aws:kms:us-east-1:111111111111:key/11111111-1111-4111-8111-111111111111";
export const WORKER_KEY = "arn:aws:kms:us-east-1:222222222222:key/22222222-2222-4222-8222-222222222222";

const NO_ACCESS = { profile: null, roleArn: null, externalId: null, region: null };

/** Returns a plan across accounts with one volume, as the preflight makes it. */
export function planOf(changes: Partial<Plan> = {}, request: Partial<Plan["request"]> = {}): Plan {
  const source = party("111111111111", "source");
  const worker = party("222222222222", "worker");
  return {
    kind: "backup",
    jobId: "job-20261124T120000Z-0123abcd",
    repositoryId: "6f1f2c0e-3f0a-4b69-9d0c-0a4f4f8a2f6e",
    ...{ route: "cross-account", source, worker, availabilityZone: "us-east-1a" },
    ...{ volumeKey: WORKER_KEY, copyKey: null, awsManagedKeys: [], workerRoot: null },
    request: {
      instanceId: "i-0a1b2c3d4e5f60718",
      ...{ source: NO_ACCESS, worker: NO_ACCESS, workerAccount: "worker", volumeKey: null, bridgeKey: null },
      workerInstance: { kind: "existing", instanceId: "i-0f1e2d3c4b5a69788" },
      ...{ excludedVolumes: [], root: "included", volumeType: "gp3", iops: null, throughputMibps: null },
      ...{ initializationRateMibps: null, snapshots: "delete", repository: { repo: "s3://backups/fleet" } },
      options: { compression: "lz4", threads: null, queueDepth: null, badBlocks: "fail" },
      tags: {},
      ...request,
    },
    instance: {
      ...{ instanceId: "i-0a1b2c3d4e5f60718", accountId: "111111111111", region: "us-east-1" },
      ...{ availabilityZone: "us-east-1a", instanceType: "m5.large", imageId: "ami-0123", subnetId: null },
      ...{ securityGroupIds: [], instanceProfileArn: null, keyName: null, architecture: "x86_64" },
      ...{ bootMode: null, rootDeviceName: "/dev/xvda", platform: null, tags: {} },
    },
    excludedDataVolumes: [],
    volumes: [{ name: "root", key: "customer", origin: volume("vol-0123456789abcdef0", SOURCE_KEY) }],
    ...changes,
  };
}

/** Returns the plan of a restore to volumes, by a worker in the same account. */
export function restorePlanOf(jobId: string): RestorePlan {
  const worker = party("222222222222", "worker");
  const { request } = planOf();
  return {
    ...{ kind: "restore", jobId, repositoryId: planOf().repositoryId, route: "same-account" },
    ...{ source: worker, worker, point: "20261123T112150Z-3f9a1c2b", volumes: [], launch: null },
    ...{ availabilityZone: "us-east-1a", targetZone: "us-east-1a", volumeKey: WORKER_KEY, targetKey: null },
    ...{ workerRoot: null, awsManagedKeys: [] },
    request: {
      ...{ source: NO_ACCESS, worker: NO_ACCESS, workerAccount: "source", point: "latest", to: "volumes" },
      ...{ workerInstance: request.workerInstance, repository: request.repository, volumes: [] },
      ...{ volumeKey: null, targetKey: null, attachTo: null, launch: null, zone: null },
      options: { threads: null },
    },
  };
}

/** Returns the signing of a controller without keys. @param config of its repository */
export function unsignedIn(config: RepositoryConfig): Signing {
  return new Signing(expectationOf(config));
}

/** The same, for the repository of the plans. */
export const UNSIGNED = unsignedIn(newConfig(planOf().repositoryId));

function party(accountId: string, role: string): Plan["source"] {
  const principalArn = `arn:aws:iam::${accountId}:role/blockferry-${role}`;
  return { accountId, principalArn, partition: "aws", region: "us-east-1" };
}

function volume(volumeId: string, kmsKeyId: string | null): Plan["volumes"][number]["origin"] {
  return {
    ...{ volumeId, sizeBytes: 2 ** 30, type: "gp3", iops: 3000, throughput: 125, kmsKeyId },
    ...{ encrypted: kmsKeyId !== null, attachName: "/dev/xvda", deleteOnTermination: true, tags: {} },
  };
}
