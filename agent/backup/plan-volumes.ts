import { basename, resolve } from "node:path";
import { BlockferryError } from "../../foundation/errors.js";
import { NumberSet } from "../../foundation/number-set.js";
import { BlockSource } from "../../native-free-io/block-source.js";
import { type ByteRange, dataRanges } from "../../native-free-io/data-ranges.js";
import { mapNodeCount, VolumeChunks } from "../../repository/format/block-map.js";
import { CHUNK_BYTES, chunkCount } from "../../repository/format/chunk.js";
import {
  type EbsVolume,
  MAX_POINT_BYTES,
  MAX_VOLUME_BYTES,
  MAX_VOLUMES,
} from "../../repository/format/recovery-point.js";
import type { RunWatcher } from "../threads/shared-memory.js";
import { sourceShrunk } from "./salvage-chunk.js";

/** One `--device` of the command line. */
export interface DeviceRequest {
  path: string;
  /** The device if it is already open; it is closed with the others. */
  source?: BlockSource;
  /**
   * The volume's name in the recovery point. By default the last part of the path, with white space as `_`.
   */
  name: string | undefined;
  /** The EBS volume the device is a copy of, recorded in the point. */
  ebs?: EbsVolume;
}

/** A volume about to be read. */
export interface VolumePlan extends NamedSource {
  /** The chunks that must be read; undefined for all. */
  data: NumberSet | undefined;
  /** Filled in by the threads. */
  chunks: VolumeChunks;
  /** Upper bound of the chunks it can add to the index, including the block map. */
  maxNewChunks: number;
}

/** A source and the name of its volume. */
export interface NamedSource {
  name: string;
  source: BlockSource;
  ebs: EbsVolume | undefined;
}

/**
 * Opens all devices; the caller closes them. If it throws, none is left open.
 * @throws SourceNotFound, SourceUnreadable; Usage if two volumes have the same name, or if they are too many
 * or too large for a point
 */
export async function openSources(devices: DeviceRequest[], watcher: RunWatcher): Promise<NamedSource[]> {
  const names = devices.map(({ path, name }) => name ?? defaultName(path));
  const twice = names.find((name, number) => names.indexOf(name) !== number);
  if (twice !== undefined) throw nameTaken(twice);
  if (devices.length > MAX_VOLUMES) throw tooMany(devices.length);
  const sources: NamedSource[] = [];
  try {
    for (const [number, { path, source: opened, ebs }] of devices.entries()) {
      const source = opened ?? (await BlockSource.open(resolve(path)));
      sources.push({ name: names[number] as string, source, ebs });
      if (source.sizeBytes > MAX_VOLUME_BYTES) throw tooLarge(source);
      if (source.sizeBytes === 0) watcher.notice(`${source.path} is empty: its volume has 0 bytes.`);
      if (!source.direct) watcher.notice(readsBuffered(source));
    }
    if (totalSourceBytes(sources) > MAX_POINT_BYTES) throw tooLargeInAll();
    return sources;
  } catch (error) {
    await closeSources(sources);
    throw error;
  }
}

export async function closeSources(sources: NamedSource[]): Promise<void> {
  for (const { source } of sources) await source.close();
}

/**
 * Maps the holes of the sources. Call it right before reading them: data written into a hole later is missed.
 */
export function planVolumes(sources: NamedSource[]): Promise<VolumePlan[]> {
  return Promise.all(sources.map(planVolume));
}

/**
 * Checks that no source has become shorter: a truncated file reads as a hole, so no read reaches its end.
 * @throws SourceShrunk
 */
export async function refuseShrunk(sources: NamedSource[]): Promise<void> {
  for (const { source } of sources) {
    const sizeBytes = await source.sizeNowBytes();
    if (sizeBytes < source.sizeBytes) throw sourceShrunk(source.path, sizeBytes, source.sizeBytes);
  }
}

/** Warns about files that were written to meanwhile: their backup matches no single moment. */
export async function warnOfChanges(sources: NamedSource[], watcher: RunWatcher): Promise<void> {
  for (const { source } of sources) {
    if (!(await source.hasChanged())) continue;
    watcher.notice(
      `${source.path} was written to while it was read; the backup mixes old and new data. Back up a snapshot instead, or a file that no process writes to.`,
    );
  }
}

export function totalSourceBytes(sources: NamedSource[]): number {
  return sources.reduce((sum, { source }) => sum + source.sizeBytes, 0);
}

/** White space in a name would break lists and lines of output. */
function defaultName(path: string): string {
  return basename(resolve(path)).replaceAll(/\s/g, "_");
}

async function planVolume(named: NamedSource): Promise<VolumePlan> {
  const count = chunkCount(named.source.sizeBytes);
  const ranges = await dataRanges(named.source);
  const data = ranges && chunksOfRanges(ranges, count);
  const maxNewChunks = (data?.count() ?? count) + mapNodeCount(count);
  return { ...named, data, chunks: VolumeChunks.create(count), maxNewChunks };
}

function readsBuffered({ path }: BlockSource): string {
  return `${path}: O_DIRECT is not supported there; reading through the page cache, which is slower.`;
}

function tooLarge({ path, sizeBytes }: BlockSource): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `${path} has ${sizeBytes} bytes; a volume may have at most ${MAX_VOLUME_BYTES} (256 TiB).`,
    remedy: "Back up the devices that it consists of.",
    object: path,
  });
}

function tooMany(count: number): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `There are ${count} devices; a recovery point may have at most ${MAX_VOLUMES} volumes.`,
    remedy: "Back them up into several recovery points.",
  });
}

function tooLargeInAll(): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `The volumes have more than ${MAX_POINT_BYTES} bytes (8 PiB) in total, the most that a recovery point may have.`,
    remedy: "Back them up into several recovery points.",
  });
}

function nameTaken(name: string): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `Two devices have the same name, ${name}.`,
    remedy: "Give each device its own name: --device PATH=NAME",
    object: name,
  });
}

/**
 * Returns the chunks that the ranges touch.
 * @param count number of chunks in the volume
 */
export function chunksOfRanges(ranges: ByteRange[], count: number): NumberSet {
  const chunks = NumberSet.below(count);
  for (const { offset, length } of ranges) {
    const last = Math.floor((offset + length - 1) / CHUNK_BYTES);
    for (let chunk = Math.floor(offset / CHUNK_BYTES); chunk <= last; chunk++) chunks.add(chunk);
  }
  return chunks;
}
