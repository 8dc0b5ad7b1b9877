import { type ChoosePointOptions, type ChosenPoint, choosePoint } from "../../command-line/choose-point.js";
import { once, usage } from "../../command-line/options.js";
import {
  POINT_REFERENCE,
  type PointFilterArguments,
  parsePointFilter,
  pointFilterOptions,
} from "../../command-line/point-options.js";
import { isVolume } from "../../repository/point-filter.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/recovery-point.js";
import type { Storage } from "../../repository/storage/storage.js";

/** Options of the commands that read one volume of a recovery point. */
export const volumeOptions = {
  point: {
    type: "string",
    demandOption: true,
    requiresArg: true,
    coerce: once("point"),
    describe: POINT_REFERENCE,
  },
  ...pointFilterOptions,
  volume: {
    type: "string",
    requiresArg: true,
    coerce: once("volume"),
    describe: "Name or EBS id of the volume; may be left out if the point has only one",
  },
} as const;

export interface VolumeArguments extends Omit<PointFilterArguments, "volume"> {
  point: string;
  volume: string | undefined;
  json: boolean;
}

/**
 * Chooses a point and its volume; `latest` is the latest point that has the volume.
 * @throws Usage; the errors of `choosePoint`
 */
export async function chooseVolume(
  storage: Storage,
  args: VolumeArguments,
  notice: ChoosePointOptions["notice"],
): Promise<ChosenPoint & { volume: RecoveryPointVolume }> {
  const { point, volume, json } = args;
  const filter = parsePointFilter({ ...args, volume: undefined });
  const volumes = volume === undefined ? [] : [volume];
  const chosen = await choosePoint(storage, point, { filter, volumes, json, notice });
  return { ...chosen, volume: volumeOf(chosen.point, volume) };
}

/** @throws Usage */
function volumeOf(point: RecoveryPoint, wanted: string | undefined): RecoveryPointVolume {
  const [first, ...others] = point.volumes;
  if (wanted === undefined && first !== undefined && others.length === 0) return first;
  const named =
    point.volumes.find(({ name }) => name === wanted) ??
    point.volumes.find((volume) => wanted !== undefined && isVolume(volume, wanted));
  if (named !== undefined) return named;
  const names = point.volumes.map(({ name }) => name).join(", ");
  const problem = wanted === undefined ? "has several volumes" : `has no volume ${wanted}`;
  throw usage(`Recovery point ${point.id} ${problem}: ${names}.`, "Name one of them with --volume NAME");
}
