import * as z from "zod/mini";
import { byteCount } from "./byte-count.js";

/** Tags of AWS, and those of blockferry. */
export const tagsSchema = z.record(z.string(), z.string());

/**
 * An EBS volume at the time of its snapshot: the parameters with which CreateVolume creates an equal one (EC2
 * API reference, CreateVolume and EbsInstanceBlockDevice).
 */
const ebsVolumeFields = {
  volumeId: z.string().check(z.regex(/^vol-[0-9a-f]+$/)),
  sizeBytes: byteCount,
  /** `gp3`, `io2`, ... */
  type: z.string(),
  /** Null if the type has none. */
  iops: z.nullable(z.int().check(z.nonnegative())),
  /** In MiB/s; null if the type has none. */
  throughput: z.nullable(z.int().check(z.nonnegative())),
  /** ARN of its KMS key; null for an unencrypted volume. */
  kmsKeyId: z.nullable(z.string()),
  encrypted: z.boolean(),
  /** The device name that EC2 uses, for example `/dev/xvda`. */
  attachName: z.string(),
  deleteOnTermination: z.boolean(),
  tags: tagsSchema,
};

/**
 * An EC2 instance at the time of its snapshots: the parameters with which RunInstances creates an equal one.
 */
const instanceFields = {
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
  /** The common time of the snapshots of all its volumes. */
  snapshotTime: z.iso.datetime(),
};

export const EbsVolumeSchema = z.strictObject(ebsVolumeFields);
export const InstanceSchema = z.strictObject(instanceFields);

/** For documents of later versions, which may have fields that are unknown here. */
export const LaterEbsVolumeSchema = z.object(ebsVolumeFields);
export const LaterInstanceSchema = z.object(instanceFields);

export type EbsVolume = z.infer<typeof EbsVolumeSchema>;
export type Instance = z.infer<typeof InstanceSchema>;
