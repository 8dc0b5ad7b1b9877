import { once, usage } from "../../command-line/options.js";
import type { RecoveryPoint, RecoveryPointVolume } from "../../repository/recovery-point.js";

/** Options of the commands that read one volume of a recovery point. */
export const volumeOptions = {
  point: {
    type: "string",
    demandOption: true,
    requiresArg: true,
    coerce: once("point"),
    describe: "Id of the recovery point, the beginning of one, or `latest`",
  },
  volume: {
    type: "string",
    requiresArg: true,
    coerce: once("volume"),
    describe: "Name of the volume; may be left out where there is one",
  },
} as const;

export interface VolumeArguments {
  point: string;
  volume: string | undefined;
}

/** @throws Usage */
export function chooseVolume(point: RecoveryPoint, wanted: string | undefined): RecoveryPointVolume {
  const [first, ...others] = point.volumes;
  if (wanted === undefined && first !== undefined && others.length === 0) return first;
  const named = point.volumes.find(({ name }) => name === wanted);
  if (named !== undefined) return named;
  const names = point.volumes.map(({ name }) => name).join(", ");
  const problem = wanted === undefined ? "has several volumes" : `has no volume ${wanted}`;
  throw usage(`Recovery point ${point.id} ${problem}: ${names}.`, "Name one of them with --volume NAME");
}
