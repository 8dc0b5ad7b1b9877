import { IndexCheckpoints } from "../../agent/backup/index-checkpoints.js";
import { allocateAligned } from "../../native-free-io/block-source.js";
import { MAP_FANOUT } from "../../repository/format/block-map.js";
import { CHUNK_BYTES, chunkId } from "../../repository/format/chunk.js";
import { newPointId, type RecoveryPoint } from "../../repository/format/recovery-point.js";
import type { Repository } from "../../repository/open/repository.js";
import { PART_BUFFERS, PackWriter, partBufferBytes } from "../../repository/packs/pack-writer.js";
import { writePoint } from "../../repository/points/points.js";
import type { Storage } from "../../repository/storage/storage.js";
import type { SeededRandom } from "./random.js";

/** In each point, half of the volume is new, and half was new in the point before. */
const RUN_CHUNKS = MAP_FANOUT / 2;
/** Short, so that a million chunks take seconds. The length of a chunk does not matter to prune. */
const SHORT_CHUNK_BYTES = 512;

/** Yields the new chunks of each point, made on demand. */
export function* randomRuns(points: number, random: SeededRandom): Iterable<Buffer[]> {
  for (let point = 0; point < points; point++) {
    const bytes = random.bytes(RUN_CHUNKS * SHORT_CHUNK_BYTES);
    yield Array.from({ length: RUN_CHUNKS }, (_, chunk) =>
      bytes.subarray(chunk * SHORT_CHUNK_BYTES, (chunk + 1) * SHORT_CHUNK_BYTES),
    );
  }
}

const HOUR_MS = 3_600_000;
const FIRST_POINT_MS = Date.parse("2026-01-01T00:00:00Z");

/**
 * Fills a repository with points of one volume of 1 GiB, one hour apart. Packs, block maps and index segments
 * are real. The chunks are shorter than those of a backup, and cannot be restored.
 * @param runs new chunks of each point, as `randomRuns` yields them
 */
export async function makeManyPoints(
  { config, storage }: Repository,
  runs: Iterable<Buffer[]>,
): Promise<void> {
  const uploads = await storage.beginUploads();
  const checkpoints = new IndexCheckpoints(storage);
  const chunks = new Chunks(storage, checkpoints);
  const nodes = new Chunks(storage, checkpoints);
  const roots: Buffer[] = [];
  let before: Buffer = Buffer.alloc(0);
  for (const run of runs) {
    const ids = Buffer.concat(await chunks.append(run));
    roots.push(...(await nodes.append([Buffer.concat([ids, before])])));
    before = ids;
  }
  await chunks.finish();
  await nodes.finish();
  await checkpoints.flush();
  for (const [number, root] of roots.entries()) await writePoint(storage, pointOf(config.id, number, root));
  await uploads.end();
}

/** Appends chunks to new packs. */
class Chunks {
  private wakeUp: () => void = () => undefined;
  private readonly writer: PackWriter;

  constructor(storage: Storage, checkpoints: IndexCheckpoints) {
    this.writer = new PackWriter({
      storage,
      compression: "none",
      partBuffers: Array.from({ length: PART_BUFFERS }, () => allocateAligned(partBufferBytes(storage))),
      onPack: (pack) => checkpoints.add(pack),
      onRoom: () => this.wakeUp(),
      onFailure: (error) => {
        throw error;
      },
    });
  }

  /** Appends chunks. @returns their ids */
  async append(payloads: Buffer[]): Promise<Buffer[]> {
    const ids: Buffer[] = [];
    for (const payload of payloads) {
      while (!this.writer.hasRoom) await new Promise<void>((resolve) => (this.wakeUp = resolve));
      const id = Buffer.from(chunkId(payload));
      this.writer.append(id, payload);
      ids.push(id);
    }
    return ids;
  }

  async finish(): Promise<void> {
    await this.writer.finish();
  }
}

function pointOf(repository: string, number: number, root: Buffer): RecoveryPoint {
  const createdAt = new Date(FIRST_POINT_MS + number * HOUR_MS);
  const sizeBytes = (number === 0 ? RUN_CHUNKS : MAP_FANOUT) * CHUNK_BYTES;
  return {
    ...{ version: 1, id: newPointId(createdAt), repository },
    ...{ startedAt: createdAt.toISOString(), createdAt: createdAt.toISOString(), hostname: "test", tags: {} },
    volumes: [{ name: "disk", source: "disk.img", sizeBytes, root: root.toString("hex"), badRanges: [] }],
    stats: { sourceBytes: sizeBytes, zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
  };
}
