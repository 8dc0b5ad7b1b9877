import type { Instance } from "../../repository/format/recovery-point.js";
import { type BackupJob, type Job, newJobId, parseJob, readJobText } from "../../repository/jobs/job.js";
import type { Storage } from "../../repository/storage/storage.js";

export const WORKER = "i-0aaaaaaaaaaaaaaa1";

export const INSTANCE: Instance = {
  instanceId: "i-0bbbbbbbbbbbbbbb2",
  accountId: "111111111111",
  region: "eu-central-1",
  availabilityZone: "eu-central-1a",
  instanceType: "m7i.large",
  imageId: "ami-0123456789abcdef0",
  subnetId: "subnet-0123456789abcdef0",
  securityGroupIds: ["sg-0123456789abcdef0"],
  instanceProfileArn: null,
  keyName: null,
  architecture: "x86_64",
  bootMode: "uefi-preferred",
  rootDeviceName: "/dev/xvda",
  platform: null,
  tags: { Name: "shop" },
  snapshotTime: "2026-11-23T11:21:50.000Z",
};

/** Returns a volume of a job. @param number distinguishes the volumes of one job */
export function jobVolume(number: number, sizeBytes: number): BackupJob["volumes"][number] {
  return {
    name: `volume-${number}`,
    volumeId: `vol-0${number}23456789abcdef0`,
    sizeBytes,
    attachName: `/dev/sd${"fghijk"[number]}`,
    origin: {
      ...{ volumeId: `vol-0${number}ffffffffffffff0`, sizeBytes, type: "gp3", iops: 3000, throughput: 125 },
      ...{ kmsKeyId: "arn:aws:kms:eu-central-1:111111111111:key/1234", encrypted: true },
      ...{ attachName: "/dev/xvda", deleteOnTermination: true, tags: { Name: "root" } },
    },
  };
}

/** Returns a job that agents accept for the next hour. */
export function makeJob(
  repository: string,
  volumes: BackupJob["volumes"],
  fields: Partial<BackupJob> = {},
): BackupJob {
  const now = Date.now();
  return {
    version: 1,
    id: newJobId(new Date(now)),
    repository,
    createdAt: new Date(now).toISOString(),
    expiresAt: new Date(now + 3_600_000).toISOString(),
    kind: "backup",
    worker: WORKER,
    volumes,
    instance: INSTANCE,
    options: { compression: "lz4", threads: null, queueDepth: null, badBlocks: "fail" },
    tags: { env: "test" },
    ...fields,
  };
}

/** Reads a job. @throws the errors of reading and parsing */
export async function readJob(storage: Storage, id: string): Promise<Job> {
  return parseJob(id, await readJobText(storage, id));
}
