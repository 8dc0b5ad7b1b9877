import * as z from "zod/mini";
import { byteCount } from "./byte-count.js";

/** Tags as AWS keeps them, and those of blockferry. */
export const tagsSchema = z.record(z.string(), z.string());

/**
 * An EBS volume as it was when its snapshot was taken: what CreateVolume needs to make one like it (EC2 API reference,
 * CreateVolume and EbsInstanceBlockDevice).
 */
export const EbsVolumeSchema = z.strictObject({
  volumeId: z.string().check(z.regex(/^vol-[0-9a-f]+$/)),
  sizeBytes: byteCount,
  /** `gp3`, `io2`, ... */
  type: z.string(),
  /** Null where the type has none. */
  iops: z.nullable(z.int().check(z.nonnegative())),
  /** In MiB/s; null where the type has none. */
  throughput: z.nullable(z.int().check(z.nonnegative())),
  /** ARN of its key; null when it is not encrypted. */
  kmsKeyId: z.nullable(z.string()),
  encrypted: z.boolean(),
  /** The device name that EC2 knows, as `/dev/xvda`. */
  attachName: z.string(),
  deleteOnTermination: z.boolean(),
  tags: tagsSchema,
});

/** An EC2 instance as it was when its snapshots were taken: what RunInstances needs to make one like it. */
export const InstanceSchema = z.strictObject({
  instanceId: z.string().check(z.regex(/^i-[0-9a-f]+$/)),
  accountId: z.string().check(z.regex(/^\d{12}$/)),
  region: z.string(),
  availabilityZone: z.string(),
  instanceType: z.string(),
  imageId: z.string(),
  subnetId: z.nullable(z.string()),
  securityGroupIds: z.array(z.string()),
  instanceProfileArn: z.nullable(z.string()),
  keyName: z.nullable(z.string()),
  architecture: z.string(),
  bootMode: z.nullable(z.string()),
  rootDeviceName: z.string(),
  platform: z.nullable(z.string()),
  tags: tagsSchema,
  /** The one moment that all its volumes are of. */
  snapshotTime: z.iso.datetime(),
});

export type EbsVolume = z.infer<typeof EbsVolumeSchema>;
export type Instance = z.infer<typeof InstanceSchema>;
