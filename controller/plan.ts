import * as z from "zod/mini";
import { EbsVolumeSchema, InstanceSchema } from "../repository/instance.js";
import { RequestSchema } from "./request.js";
import { ROUTES } from "./route.js";

const PartySchema = z.strictObject({
  accountId: z.string(),
  /** Who acts there, for messages and key policies: the role behind a session, if there is one. */
  principalArn: z.string(),
  partition: z.string(),
  region: z.string(),
});

const PlannedVolumeSchema = z.strictObject({
  /** The volume's name in the recovery point. */
  name: z.string(),
  origin: EbsVolumeSchema,
  key: z.enum(["none", "customer", "aws-managed"]),
});

export const PlanSchema = z.strictObject({
  jobId: z.string(),
  repositoryId: z.string(),
  request: RequestSchema,
  route: z.enum(ROUTES),
  source: PartySchema,
  worker: PartySchema,
  /** As it was when the plan was made; the moment of the snapshot is not known yet. */
  instance: z.omit(InstanceSchema, { snapshotTime: true }),
  volumes: z.array(PlannedVolumeSchema),
  /** Ids of volumes that are left out; the root volume is not among them. */
  excludedDataVolumes: z.array(z.string()),
  /** Where the worker is or will be: its volumes must be there too. */
  availabilityZone: z.string(),
  /** ARN of the key of the temporary volumes. */
  volumeKey: z.string(),
  /** Root device of the image of a worker that is launched. */
  workerRoot: z.nullable(z.strictObject({ deviceName: z.string(), sizeGib: z.nullable(z.int()) })),
  /** ARN of the key of the copies, if the route makes any. */
  copyKey: z.nullable(z.string()),
  /** Which of the keys AWS manages: everybody in their account may use those through EBS. */
  awsManagedKeys: z.array(z.string()),
});

/** All that a run needs to know, decided before anything is made. Kept in the journal. */
export type Plan = z.infer<typeof PlanSchema>;
export type PlannedVolume = z.infer<typeof PlannedVolumeSchema>;
export type PlannedParty = z.infer<typeof PartySchema>;
