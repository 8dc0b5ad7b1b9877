import * as z from "zod/mini";
import { field, named, type Printed } from "../../command-line/output-schema.js";
import {
  ChosenPointSchema,
  count,
  errors,
  ListSchema,
  PrintedErrorSchema,
  PrintedRelianceSchema,
  PrintedStatsSchema,
  point,
  RangeSchema,
  recoveryPoint,
  ShowSchema,
  VolumeSchema,
} from "../../command-line/outputs.js";
import { DEVICE_NOTES } from "../../native-free-io/release-device.js";
import { byteCount } from "../../repository/format/recovery-point.js";
import { MAINTENANCE_OUTPUTS } from "./maintenance-outputs.js";

const seconds = field("Duration in seconds", z.number().check(z.nonnegative()));
const pin = field("[Pin](../how-to/encryption.md#pins-and-trust-on-first-use) of the repository", z.string());

const InitSchema = z.strictObject({
  repository: field("UUID of the new repository", z.uuid()),
  location: field("Its location: a path or URL", z.string()),
  encryption: field("Its encryption", z.enum(["none", "aes-256-gcm"])),
  pin,
  notes: field("Abilities that the storage lacks, and the cost of each", z.array(z.string())),
});

const KeySchema = named(
  "Key",
  "A key of an encrypted repository",
  z.strictObject({
    id: field("Id of the key", z.string()),
    kind: field("Its protection: a passphrase or a key of AWS KMS", z.enum(["passphrase", "kms"])),
    keyArn: field("ARN of the KMS key; absent for a passphrase", z.optional(z.string())),
    createdAt: field("When the key was added", z.iso.datetime()),
  }),
);
const added = field("The new key", KeySchema);
const removed = field("Id of the removed key", z.string());

const KeyListSchema = z.strictObject({
  keys: field("The keys; empty without encryption", z.array(KeySchema)),
  damaged: field("Errors of keys that cannot be read; the exit code is then 3", errors),
  pin,
});

const BackupSchema = z.strictObject({
  point,
  seconds,
  stats: field("Figures of the backup", PrintedStatsSchema),
  volumes: field("The volumes of the new point", z.array(VolumeSchema)),
  reliance: field("The data that the backup relies on", PrintedRelianceSchema),
});

const RestoredVolumeSchema = z.extend(VolumeSchema, {
  target: field("Path of the device or file that it was restored to", z.string()),
});

const RestoreSchema = z.strictObject({
  point,
  recoveryPoint,
  seconds,
  volumes: field("The restored volumes", z.array(RestoredVolumeSchema)),
  lost: field(
    "Ranges that the repository has lost, and that are zeros in the target; empty without `--allow-missing`. If there are any, the exit code is 3",
    z.array(z.extend(RangeSchema, { volume: field("Name of the volume", z.string()) })),
  ),
  notes: field(
    "[Tasks that are left](../how-to/restore.md#after-a-restore-to-a-device) after restores to devices; the volumes are complete",
    z.array(
      z.strictObject({
        volume: field("Name of the volume", z.string()),
        target: field("Path of the device", z.string()),
        kind: field("Subject of the note", z.enum(DEVICE_NOTES)),
        message: field("The finding", z.string()),
        remedy: field("What to do, with the command to run", z.string()),
      }),
    ),
  ),
});

const volumeFields = {
  point,
  recoveryPoint,
  volume: field("Name of the volume", z.string()),
  sizeBytes: field("Size of the volume in bytes", byteCount),
};

const NbdSchema = z.strictObject({
  listening: field("NBD URI for clients; printed as soon as the server listens", z.string()),
  ...volumeFields,
});

const ExportSchema = z.strictObject({
  ...volumeFields,
  target: field("Path of the new image", z.string()),
  format: field("Format of the image", z.enum(["raw", "qcow2", "vmdk"])),
  imageBytes: field("Bytes that the image takes on disk", byteCount),
  seconds,
});

const affectedRange = {
  point,
  volume: field("Name of the volume", z.string()),
  ...RangeSchema.shape,
};

const ProblemSchema = z.extend(PrintedErrorSchema, {
  affects: field(
    "The bytes of volumes that cannot be restored because of it",
    z.array(z.strictObject(affectedRange)),
  ),
});

const DamagedRangeSchema = z.strictObject({
  ...affectedRange,
  object: field(
    "Key of the object whose damage lost the bytes: a pack, or the point if no segment shows which pack held them",
    z.string(),
  ),
  objectOffset: field(
    "Offset of a damaged chunk in the pack; absent if more than one chunk is lost",
    z.optional(byteCount),
  ),
});

const VerifySchema = z.strictObject({
  ok: field("True if nothing is wrong; the exit code is then 0, and otherwise 3", z.boolean()),
  startedAt: field("Start of the run", z.iso.datetime()),
  seconds,
  recoveryPoint: field("The point of `--point`; null without it", z.nullable(ChosenPointSchema)),
  points: field("Checked recovery points", count),
  volumes: field("Their volumes", count),
  volumeBytes: field("Size of these volumes in bytes", byteCount),
  packs: field("All packs", count),
  packBytes: field("Their size in bytes", byteCount),
  packsRead: field("Packs of which this run read and proved every byte", count),
  bytesRead: field("Their size in bytes", byteCount),
  readSince: field(
    "Every pack older than this time has been read since then, by this run or by earlier ones of this machine; null if unknown",
    z.nullable(z.iso.datetime()),
  ),
  uncheckedTombstones: field(
    "[Signed tombstones](../how-to/retention.md#signed-tombstones) that were not checked, because `--tombstone-key` was not given",
    count,
  ),
  problems: field("The problems found", z.array(ProblemSchema)),
  damaged: field("All bytes of recovery points that cannot be restored", z.array(DamagedRangeSchema)),
  notes: field("Missing packs that no point needs", errors),
  future: field("Errors about points whose dates cannot be right", errors),
});

const rate = z.nullable(z.number());
const SpeedsSchema = z.array(
  z.strictObject({
    inFlight: field("Operations in flight", count),
    bytesPerSecond: field("Bytes per second", z.number()),
  }),
);

const FiguresSchema = z.strictObject({
  cores: field("Cores of the machine", count),
  memoryBytes: field("Memory that a backup may take, in bytes", z.number()),
  sourceBytes: field("Size of the devices in bytes", byteCount),
  partBytes: field("Size of an uploaded part in bytes", byteCount),
  cipherBytes: field("Memory of the cipher for each thread, in bytes", byteCount),
  read: field("Read speed of all devices together", SpeedsSchema),
  hashBytesPerSecond: field("Hashing speed of a core; null if there was nothing to hash", rate),
  compressBytesPerSecond: field("Compression speed of a core; null if there was nothing to compress", rate),
  storedShare: field("Stored bytes per byte of the source, in a first backup", z.number()),
  upload: field("Upload speed in stored bytes, by parts in flight; empty without `--repo`", SpeedsSchema),
});

const AdviceSchema = z.strictObject({
  threads: field("For `--threads`", count),
  queueDepth: field("For `--queue-depth`: reads in flight for each thread", count),
  partBytes: field("Size of an uploaded part in bytes", byteCount),
  memoryBytes: field("Memory of a backup with these settings, in bytes", byteCount),
  bottleneck: field(
    "The part that limits the speed; null if the devices are empty",
    z.nullable(z.enum(["device", "cpu", "network"])),
  ),
  limits: field(
    "Bytes of the devices per second that each could do by itself, in a first backup",
    z.strictObject({
      device: field("The devices", rate),
      cpu: field("The cores", rate),
      network: field("The path to the repository; null without `--repo`", rate),
    }),
  ),
  bytesPerSecond: field("Expected speed of a first backup: the least of these", rate),
});

const ServeEventSchema = z.strictObject({
  time: field("Time of the event", z.iso.datetime()),
  level: field("Level of the event", z.enum(["info", "warning"])),
  message: field("Text of the event", z.string()),
  job: field("Id of the job", z.optional(z.string())),
  point: field("Id of the recovery point", z.optional(z.string())),
  code: field("[Error code](errors.md)", z.optional(PrintedErrorSchema.shape.code)),
  worker: field("Instance id of the worker, when the service starts", z.optional(z.string())),
  repository: field("UUID of the repository, when the service starts", z.optional(z.uuid())),
  volume: field("Id of an EBS volume whose device was found", z.optional(z.string())),
  device: field("Path of this device", z.optional(z.string())),
});

const ServeReportSchema = z.strictObject({
  jobs: field("Finished jobs", count),
  failed: field("Jobs of these that failed; the exit code is then 1", count),
});

const TrustListSchema = z.strictObject({
  repositories: field(
    "The repositories that this machine knows",
    z.array(
      z.strictObject({
        version: field("Version of the record", z.literal(1)),
        location: field("Location: a path or URL", z.string()),
        repository: field("UUID of the repository at the first use", z.uuid()),
        encryption: field("`none`, or the key check in hex", z.string()),
        firstSeen: field("Time of the first use", z.iso.datetime()),
      }),
    ),
  ),
});

/** The results of `blockferry-agent` with `--json`, by command. */
export const AGENT_OUTPUTS = {
  init: InitSchema,
  backup: BackupSchema,
  restore: RestoreSchema,
  nbd: NbdSchema,
  export: ExportSchema,
  list: ListSchema,
  show: ShowSchema,
  verify: VerifySchema,
  ...MAINTENANCE_OUTPUTS,
  tune: z.strictObject({
    figures: field("Measurements", FiguresSchema),
    advice: field("Recommended settings", AdviceSchema),
  }),
  "key list": KeyListSchema,
  "key add": z.strictObject({ added }),
  "key rotate": z.strictObject({ added, removed }),
  "key remove": z.strictObject({ removed }),
  "trust list": TrustListSchema,
  "trust reset": z.strictObject({
    location: field("The location, in the form that `trust list` shows", z.string()),
    wasKnown: field("False if nothing was known of it", z.boolean()),
  }),
  serve: z.union([
    field("A line for each event", ServeEventSchema),
    field("The last line, with `--once`", ServeReportSchema),
  ]),
  limits: z.strictObject({
    ioThreads: field("For `UV_THREADPOOL_SIZE`", count),
    memoryBytes: field("The most memory that a job should need, in bytes", byteCount),
  }),
};

/** The output of a command of the agent with `--json`. */
export type AgentOutput<Command extends keyof typeof AGENT_OUTPUTS> = Printed<
  (typeof AGENT_OUTPUTS)[Command]
>;
