import { basename, resolve } from "node:path";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { type BlockSource, inspectBlockSource } from "../../native-free-io/block-source.js";
import { dataRanges } from "../../native-free-io/data-ranges.js";
import { mapNodeCount } from "../../repository/block-map.js";
import { chunkCount } from "../../repository/chunk-id.js";
import { VolumeChunks } from "../../repository/volume-chunks.js";
import type { RunWatcher } from "../run-watcher.js";
import { ChunkBitmap } from "./chunk-bitmap.js";

/** What `--device` asks for. */
export interface DeviceRequest {
  path: string;
  /** The volume's name in the recovery point; by default the last part of the path. */
  name: string | undefined;
}

/** A volume about to be read. */
export interface VolumePlan {
  name: string;
  source: BlockSource;
  /** The chunks that must be read; undefined for all. */
  data: ChunkBitmap | undefined;
  /** To be filled in by the threads. */
  chunks: VolumeChunks;
  /** Upper bound of the chunks it can add to the index, block map included. */
  maxNewChunks: number;
}

/** @throws SourceNotFound, SourceUnreadable; Usage when two volumes have one name */
export async function planVolumes(devices: DeviceRequest[], watcher: RunWatcher): Promise<VolumePlan[]> {
  const plans = await Promise.all(devices.map(planVolume));
  const names = new Set<string>();
  for (const { name, source } of plans) {
    if (names.has(name)) throw nameTaken(name);
    names.add(name);
    if (!source.direct) {
      watcher.notice(
        `${source.path}: O_DIRECT is not supported there; reading through the page cache, which is slower.`,
      );
    }
  }
  return plans;
}

export function totalBytes(volumes: VolumePlan[]): number {
  return volumes.reduce((sum, { source }) => sum + source.sizeBytes, 0);
}

async function planVolume({ path, name }: DeviceRequest): Promise<VolumePlan> {
  const source = await inspectBlockSource(resolve(path));
  const count = chunkCount(source.sizeBytes);
  const ranges = await dataRanges(source);
  const data = ranges && ChunkBitmap.of(ranges, count);
  const maxNewChunks = (data?.count ?? count) + mapNodeCount(count);
  return { name: name ?? basename(path), source, data, chunks: VolumeChunks.create(count), maxNewChunks };
}

function nameTaken(name: string): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `Two devices have the name ${name}.`,
    remedy: "Give each a name of its own: --device PATH=NAME",
    object: name,
  });
}
