import type { PointFilter } from "../repository/point-filter.js";
import { parseTags } from "./options.js";
import { text, texts } from "./text-option.js";

export interface PointFilterArguments {
  instance: string | undefined;
  host: string | undefined;
  volume: string[] | undefined;
  tag: string[] | undefined;
}

/** Describes `--point` and positional points in the help. */
export const POINT_REFERENCE = "Id of the recovery point, the beginning of one, or `latest` of one machine";

const GROUP = "Which recovery points:";

/** Options that select recovery points, mainly for `latest`. */
export const pointFilterOptions = {
  instance: text(GROUP, "instance", "Points of this EC2 instance alone"),
  host: text(GROUP, "host", "Points of this host alone; points of an instance count by the instance"),
  volume: texts(GROUP, "volume", "Points that have this volume, by its name or EBS id; may be repeated"),
  tag: texts(GROUP, "tag", "Points with this tag, KEY=VALUE; may be repeated"),
} as const;

/** Parses the options that select recovery points. @throws Usage */
export function parsePointFilter({ instance, host, volume, tag }: PointFilterArguments): PointFilter {
  return { instance, host, volumes: volume ?? [], tags: parseTags(tag ?? []) };
}
