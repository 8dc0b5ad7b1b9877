import { prune } from "../../../../agent/maintenance/prune.js";
import { repairIndex } from "../../../../agent/maintenance/repair-index.js";
import { repairPacks } from "../../../../agent/maintenance/repair-packs.js";
import { BlockferryError } from "../../../../foundation/errors.js";
import { storeBlockMap, VolumeChunks } from "../../../../repository/format/block-map.js";
import { CHUNK_BYTES, CHUNK_RECORD_BYTES } from "../../../../repository/format/chunk.js";
import type { IndexedPack } from "../../../../repository/format/index-segment.js";
import { newPackId, packIdOf, packKey } from "../../../../repository/format/pack.js";
import { newPointId, type RecoveryPoint } from "../../../../repository/format/recovery-point.js";
import { ChunkIndex } from "../../../../repository/index/chunk-index.js";
import { loadIndex } from "../../../../repository/index/load-index.js";
import { writeIndexSegment } from "../../../../repository/index/segments.js";
import { StoredChunks } from "../../../../repository/index/stored-chunks.js";
import type { Repository } from "../../../../repository/open/repository.js";
import { readPackFooter } from "../../../../repository/packs/pack-reader.js";
import { listPoints, removePoint, writePoint } from "../../../../repository/points/points.js";
import { provesLoss } from "../../../../repository/storage/read-object.js";
import type { Storage } from "../../../../repository/storage/storage.js";
import { plantPacks } from "../../../support/packs.js";
import type { SeededRandom } from "../../../support/random.js";

const POOL = 10;
const DAY_MS = 86_400_000;
const signal = new AbortController().signal;

/**
 * A small repository with everything that a hostile or unlucky writer can cause: garbage, truncated or
 * damaged copies of chunks, removed objects that are put back, lists with false places in real packs, and
 * junk.
 */
export class RandomRepository {
  /** The events so far, for the message of a failure. */
  readonly story: string[] = [];
  private readonly payloads: Buffer[];
  private readonly removed = new Map<string, Buffer>();
  private readonly storage: Storage;
  private points = 0;

  constructor(
    private readonly repository: Repository,
    private readonly random: SeededRandom,
  ) {
    this.storage = repository.storage;
    this.payloads = Array.from({ length: POOL }, () => {
      const pattern = random.bytes(64);
      return Buffer.alloc(CHUNK_BYTES, pattern);
    });
  }

  /**
   * Backs up a volume of some of the chunks. Stored chunks may be stored again, as by two workers at once.
   */
  async backUp(): Promise<void> {
    const chosen = Array.from({ length: 1 + this.random.below(5) }, () => this.random.pick(this.payloads));
    const { index } = await loadIndex(this.storage, { condemned: "exclude" });
    const again = this.random.below(3) === 0;
    const fresh = [...new Set(chosen)].filter(
      (payload) => again || index.find(this.storage.cipher.chunkId(payload)) < 0,
    );
    const packs = await this.store(fresh.map((payload) => ({ payload })));
    const map = await this.blockMap(chosen);
    packs.push(...(await this.store(map.nodes.map((payload) => ({ payload })))));
    if (this.random.below(5) > 0 && packs.length > 0) await writeIndexSegment(this.storage, packs);
    const createdAt = new Date(Date.now() - 90 * DAY_MS + this.points++ * DAY_MS);
    const time = createdAt.toISOString();
    const sizeBytes = chosen.length * CHUNK_BYTES;
    const point: RecoveryPoint = {
      ...{ version: 1, id: newPointId(createdAt), repository: this.repository.config.id },
      ...{ startedAt: time, createdAt: time, hostname: "test", tags: {} },
      volumes: [
        { name: "disk", source: "disk.img", sizeBytes, root: map.root.toString("hex"), badRanges: [] },
      ],
      stats: { sourceBytes: sizeBytes, zeroBytes: 0, duplicateBytes: 0, newBytes: 0, storedBytes: 0 },
    };
    await writePoint(this.storage, point);
    this.story.push(`backup ${point.id}`);
  }

  /** Does one thing that an attacker who may put objects, or a bad disk, can do. */
  async harm(): Promise<void> {
    const kinds = [
      () => this.plantGarbage(),
      () => this.copyPack(),
      () => this.cutShort(),
      () => this.rot(),
      () => this.replay(),
      () => this.lieAboutPack(),
      () => this.plantJunk(),
    ];
    await this.random.pick(kinds)();
  }

  /** Runs one of the commands that remove something. A refusal is not a failure of the test. */
  async maintain(): Promise<void> {
    await this.remember();
    const run = async (name: string, command: () => Promise<unknown>) => {
      this.story.push(name);
      try {
        await command();
      } catch (error) {
        if (!(error instanceof BlockferryError) || error.code === "Unexpected") throw error;
        this.story.push(`  refused: ${error.code}`);
      }
    };
    const pack = this.random.pick([...(await this.packSizes()).keys(), undefined]);
    const commands = [
      () => run("prune", () => this.prune(50)),
      () => run("prune, rewriting all", () => this.prune(100)),
      () => run("repair index", () => repairIndex(this.repository, signal)),
      () =>
        run(`repair packs ${pack}`, () =>
          repairPacks(this.repository, pack === undefined ? [] : [pack], signal),
        ),
      () => run("forget", () => this.forget()),
    ];
    await this.random.pick(commands)();
  }

  /** Returns the ids of the points whose chunks can all be read and verified. */
  async restorable(): Promise<string[]> {
    const whole: string[] = [];
    const { points } = await listPoints(this.storage);
    const stored = await StoredChunks.load(this.storage, { condemned: "last" });
    const throwIt = (error: unknown) => {
      throw error;
    };
    for (const { id, volumes } of points) {
      try {
        for (const volume of volumes) {
          const chunks = await stored.loadMap(volume, {
            onMissingChunk: (position) => throwIt(new MissingChunk(position)),
            onMissingNode: (_position, _length, error) => throwIt(error),
          });
          for (let position = 0; position < chunks.count; position++) {
            await stored.read(chunks.get(position));
          }
        }
        whole.push(id);
      } catch (error) {
        const isLost = provesLoss(error) || error instanceof MissingChunk;
        if (!isLost && !(error instanceof BlockferryError && error.code === "ChunkMissing")) throw error;
      }
    }
    return whole;
  }

  /** Points that `maintain` has forgotten. */
  readonly forgotten = new Set<string>();

  private async prune(rewriteBelowPercent: number): Promise<void> {
    const options = {
      graceMs: 0,
      rewriteBelowPercent,
      maxRewriteBytes: Infinity,
      allowNoPoints: true,
      compression: "lz4",
    } as const;
    await prune(this.repository, { ...options, signal });
  }

  private async forget(): Promise<void> {
    const { points } = await listPoints(this.storage);
    const point = this.random.pick([...points, undefined]);
    if (point === undefined) return;
    this.forgotten.add(point.id);
    await removePoint(this.storage, point.id);
  }

  private async blockMap(chosen: Buffer[]): Promise<{ root: Buffer; nodes: Buffer[] }> {
    const index = ChunkIndex.create(chosen.length + 8);
    const chunks = VolumeChunks.create(chosen.length);
    const entryOf = (payload: Buffer) => {
      const entry = index.claim(this.storage.cipher.chunkId(payload));
      return entry < 0 ? ~entry : entry;
    };
    for (const [position, payload] of chosen.entries()) chunks.set(position, entryOf(payload));
    const nodes: Buffer[] = [];
    const root = await storeBlockMap(chunks, index, async (node) => {
      nodes.push(Buffer.from(node));
      return entryOf(node);
    });
    return { root: Buffer.from(root), nodes };
  }

  private store(chunks: { payload: Buffer; id?: Buffer }[]): Promise<IndexedPack[]> {
    return plantPacks(this.storage, chunks);
  }

  private async packSizes(): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    for (const { key, sizeBytes } of await this.storage.list("packs/")) {
      const id = packIdOf(key);
      if (id !== undefined) sizes.set(id, sizeBytes);
    }
    return sizes;
  }

  private async anyPack(): Promise<{ id: string; bytes: Buffer; pack: IndexedPack | undefined } | undefined> {
    const packs = [...(await this.packSizes())];
    if (packs.length === 0) return undefined;
    const [id, sizeBytes] = this.random.pick(packs);
    const bytes = await this.storage.get(packKey(id));
    const pack = await readPackFooter(this.storage, id, sizeBytes).catch(() => undefined);
    return { id, bytes, pack };
  }

  /** Stores other bytes under the ids of real chunks. */
  private async plantGarbage(): Promise<void> {
    const some = await this.anyPack();
    if (some?.pack === undefined) return;
    const { footer } = some.pack;
    const chunks: { payload: Buffer; id: Buffer }[] = [];
    for (let at = 0; at < footer.length; at += CHUNK_RECORD_BYTES) {
      chunks.push({
        id: footer.subarray(at, at + 32),
        payload: Buffer.alloc(CHUNK_BYTES, this.random.bytes(8)),
      });
    }
    const packs = await this.store(chunks);
    if (this.random.below(2) === 0) await writeIndexSegment(this.storage, packs);
    this.story.push(`garbage for ${some.id}: ${packs.map(({ id }) => id)}`);
  }

  /** Writes a second pack with the same chunks, intact at first. */
  private async copyPack(): Promise<void> {
    const payloads = this.payloads.filter(() => this.random.below(2) === 0);
    const packs = await this.store(payloads.map((payload) => ({ payload })));
    if (this.random.below(2) === 0 && packs.length > 0) await writeIndexSegment(this.storage, packs);
    this.story.push(`copies: ${packs.map(({ id }) => id)}`);
  }

  private async cutShort(): Promise<void> {
    const some = await this.anyPack();
    if (some?.pack === undefined) return;
    const id = newPackId();
    await this.putPack(id, some.bytes.subarray(0, this.random.below(some.bytes.length)));
    await writeIndexSegment(this.storage, [{ ...some.pack, id }]);
    this.story.push(`a pack cut short: ${id}`);
  }

  private async rot(): Promise<void> {
    const some = await this.anyPack();
    if (some === undefined || some.bytes.length === 0) return;
    const at = this.random.below(some.bytes.length);
    some.bytes[at] = (some.bytes[at] as number) ^ 0xff;
    await this.putPack(some.id, some.bytes);
    this.story.push(`a flipped byte at ${at} of ${some.id}`);
  }

  /** Puts back a removed object. */
  private async replay(): Promise<void> {
    const there = new Set((await this.storage.list("packs/")).map(({ key }) => key));
    const gone = [...this.removed].filter(([key]) => !there.has(key));
    if (gone.length === 0) return;
    const [key, bytes] = this.random.pick(gone);
    const id = packIdOf(key);
    if (id === undefined) await this.storage.put(key, bytes);
    else await this.putPack(id, bytes);
    this.story.push(`replayed ${key}`);
  }

  /** Writes an index segment that lists a real pack with other places, fewer chunks, or another size. */
  private async lieAboutPack(): Promise<void> {
    const some = await this.anyPack();
    if (some?.pack === undefined || some.pack.footer.length === 0) return;
    const footer = Buffer.from(some.pack.footer);
    const chunks = footer.length / CHUNK_RECORD_BYTES;
    const lies: (() => IndexedPack)[] = [
      () => ({
        ...(some.pack as IndexedPack),
        footer: footer.subarray(0, this.random.below(chunks) * CHUNK_RECORD_BYTES),
      }),
      () => ({ ...(some.pack as IndexedPack), sizeBytes: some.bytes.length + 1 }),
      () => {
        this.random.bytes(32).copy(footer, this.random.below(chunks) * CHUNK_RECORD_BYTES);
        return { ...(some.pack as IndexedPack), footer };
      },
      () => {
        footer.writeUInt32LE(33 + this.random.below(8), 32);
        return { ...(some.pack as IndexedPack), footer };
      },
    ];
    await writeIndexSegment(this.storage, [this.random.pick(lies)()]);
    this.story.push(`a false list of ${some.id}`);
  }

  private async plantJunk(): Promise<void> {
    const keys = [`index/${this.random.bytes(32).toString("hex")}`, packKey(newPackId())];
    const key = this.random.pick(keys);
    const id = packIdOf(key);
    if (id === undefined) await this.storage.put(key, Buffer.from("junk!"));
    else await this.putPack(id, Buffer.from("junk!"));
    this.story.push(`junk at ${key}`);
  }

  private async putPack(id: string, bytes: Buffer): Promise<void> {
    const upload = this.storage.putStream(packKey(id));
    await upload.finish(bytes);
  }

  /** Records the current objects, so that they can be put back after their removal. */
  private async remember(): Promise<void> {
    for (const { key } of await this.storage.list("packs/")) {
      if (!this.removed.has(key)) this.removed.set(key, await this.storage.get(key));
    }
  }
}

class MissingChunk extends Error {
  constructor(position: number) {
    super(`no pack lists chunk ${position}`);
  }
}
