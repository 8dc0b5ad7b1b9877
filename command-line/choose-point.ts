import { BlockferryError, type ErrorRecord } from "../foundation/errors.js";
import { machineName, POINT_ID, type RecoveryPoint } from "../repository/format/recovery-point.js";
import { findPoint, type PointFilter } from "../repository/points/find-point.js";
import type { Storage } from "../repository/storage/storage.js";
import { formatAge } from "./format.js";

/** The recovery point that a command was asked for, and its description in the output. */
export interface ChosenPoint {
  point: RecoveryPoint;
  /** The description for `--json`. */
  record: PointRecord;
  /** `instance i-0123456789abcdef0, 3h02m old`. */
  origin: string;
}

interface PointRecord {
  id: string;
  /** `instance i-...` or `host ...`. */
  machine: string;
  instance: string | null;
  /** Host name in the point; for a backup of an instance, the host name of the worker. */
  host: string;
  createdAt: string;
  /** Negative when the point is dated in the future. */
  ageSeconds: number;
  volumes: string[];
  /** Keys of newer points that `latest` passed over: unreadable, or dated in the future. */
  newerPassedOver: string[];
  /** Why the date of the point cannot be right, when the user asked for it by its id. */
  future: ErrorRecord | null;
}

export interface ChoosePointOptions {
  filter: PointFilter;
  /**
   * Volumes that `latest` must have, if any point has them;
   * the command itself refuses volumes that no point has.
   */
  volumes?: readonly string[];
  json: boolean;
  /** Prints a note. */
  notice: (text: string) => void;
}

/** Unreadable points that a command lists one by one. */
const MAX_NAMED = 5;

/**
 * Finds the recovery point that a user means. Prints notes for the point that `latest` or an id prefix stands
 * for, for newer points that are passed over, and for a point named by its id whose date cannot be right.
 * @throws PointNotFound, PointAmbiguous; ObjectCorrupt, RepositoryUnsupported when the point cannot be used
 */
export async function choosePoint(
  storage: Storage,
  reference: string,
  { filter, volumes = [], json, notice }: ChoosePointOptions,
): Promise<ChosenPoint> {
  let passedOver: BlockferryError[] = [];
  let future: BlockferryError | undefined;
  const find = (meant: PointFilter) => {
    const onPassedOver = (errors: BlockferryError[]) => {
      passedOver = errors;
    };
    const onFuture = (error: BlockferryError) => {
      future = error;
    };
    return findPoint(storage, reference, { filter: meant, onPassedOver, onFuture });
  };
  const isByVolume = reference === "latest" && volumes.length > 0;
  const point = await find(isByVolume ? { ...filter, volumes } : filter).catch((error) => {
    const isForVolume = isByVolume && error instanceof BlockferryError && error.code === "PointNotFound";
    if (isForVolume) return find(filter);
    throw error;
  });
  for (const { message } of passedOver.slice(0, MAX_NAMED))
    notice(`a newer recovery point is skipped: ${message}`);
  if (passedOver.length > MAX_NAMED)
    notice(`${passedOver.length - MAX_NAMED} more are skipped; \`list\` names them`);
  if (future !== undefined) notice(future.message);
  const record = { ...recordOf(point, passedOver), future: future?.toRecord() ?? null };
  const origin = `${record.machine}, ${formatAge(record.ageSeconds)}`;
  if (!json && !POINT_ID.test(reference)) notice(`${reference} is recovery point ${point.id} of ${origin}`);
  return { point, record, origin };
}

function recordOf(point: RecoveryPoint, passedOver: BlockferryError[]): Omit<PointRecord, "future"> {
  const { id, instance, hostname, createdAt, volumes } = point;
  return {
    ...{ id, machine: machineName(point), instance: instance?.instanceId ?? null, host: hostname, createdAt },
    ageSeconds: Math.round((Date.now() - Date.parse(createdAt)) / 1000),
    volumes: volumes.map(({ name }) => name),
    newerPassedOver: passedOver.flatMap(({ object }) => object ?? []),
  };
}
