import { randomBytes } from "node:crypto";
import { BlockferryError } from "../../foundation/errors.js";
import { NumberSet } from "../../foundation/number-set.js";
import { allocateAligned } from "../../native-free-io/block-source.js";
import { CHUNK_BYTES, chunkLength } from "../../repository/format/chunk.js";
import type { Compression } from "../../repository/format/chunk-codec.js";
import { type HashKey, keyedHash } from "../../repository/index/chunk-index-memory.js";
import type { StoredChunks } from "../../repository/index/stored-chunks.js";
import { MAX_ALARM_LENGTH, MAX_ALARMS, type Reliance } from "../../repository/jobs/job-replies.js";
import { provesLoss } from "../../repository/storage/read-object.js";
import { readInOrder } from "../restore/pack-runs.js";
import type { CounterRow } from "../threads/shared-memory.js";
import type { IndexCheckpoints } from "./index-checkpoints.js";
import type { VolumePlan } from "./plan-volumes.js";
import { salvageChunk } from "./salvage-chunk.js";
import { withPackWriter } from "./store-block-maps.js";

/**
 * Which known chunks a backup reads and proves: a share in percent, or all chunks found only in packs never
 * read.
 */
export type ProveKnown = number | "new-packs";

interface RelianceOptions {
  /** The chunks stored before the run. */
  known: StoredChunks;
  /** Number of index entries before the run. */
  knownEntries: number;
  compression: Compression;
  badBlocks: "fail" | "skip";
  checkpoints: IndexCheckpoints;
  counters: CounterRow;
  prove: ProveKnown | undefined;
  /** Whether a verification on this machine has read a pack. */
  hasRead(packId: string): boolean;
  signal: AbortSignal;
}

/**
 * Checks the stored chunks that a backup relies on.
 * This happens before its point is committed. A chunk counts as missing if no index record has its length, or
 * if it is damaged at every place. It is then read from its device again and stored.
 */
export class RelianceCheck {
  readonly reliance: Reliance = {
    ...{ knownBytes: 0, unreadBytes: 0, provenBytes: 0, storedAgainBytes: 0 },
    alarms: [],
  };
  /** Entries of known chunks that were stored again. */
  readonly storedAgain: NumberSet;
  private readonly seen: NumberSet;
  private readonly sampleKey: HashKey;
  private readonly unreadPacks: NumberSet;

  constructor(private readonly options: RelianceOptions) {
    const { knownEntries, known, hasRead } = options;
    this.seen = NumberSet.below(knownEntries);
    this.storedAgain = NumberSet.below(knownEntries);
    const bytes = randomBytes(8);
    this.sampleKey = [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
    this.unreadPacks = NumberSet.below(known.packs.count);
    for (let pack = 0; pack < known.packs.count; pack++) {
      if (!hasRead(known.packs.id(pack))) this.unreadPacks.add(pack);
    }
  }

  /**
   * Checks the chunks of volumes that have been read.
   * @throws SourceUnreadable; StorageFailed and the like; Interrupted
   */
  async checkVolumes(volumes: VolumePlan[]): Promise<void> {
    const wrong = new Set<number>();
    const chosen: number[] = [];
    for (const { chunks, source } of volumes) {
      chunks.forEachChunk((position, entry) => {
        if (!this.isFirst(entry)) return;
        const lengthBytes = chunkLength(source.sizeBytes, position);
        if (!this.isPossible(entry, lengthBytes)) wrong.add(entry);
        else if (this.isChosen(entry)) chosen.push(entry);
      });
    }
    const { known, signal } = this.options;
    const proofs = readInOrder(chosen, {
      ...{ from: known, signal },
      onBadPlace: (error) => this.alarm(error),
      onLost: (entry, error) => {
        this.alarm(error);
        wrong.add(entry);
      },
    });
    for await (const { payload } of proofs) this.reliance.provenBytes += payload.length;
    if (wrong.size > 0) await this.storeAgain(volumes, wrong);
  }

  /**
   * Checks whether a block-map node that was stored before is good.
   * @returns false if it must be stored again
   */
  async isGoodNode(entry: number, lengthBytes: number): Promise<boolean> {
    if (!this.isFirst(entry)) return true;
    if (this.isPossible(entry, lengthBytes)) {
      if (!this.isChosen(entry)) return true;
      try {
        await this.options.known.read(entry, (error) => this.alarm(error));
        this.reliance.provenBytes += lengthBytes;
        return true;
      } catch (error) {
        if (!provesLoss(error)) throw error;
        this.alarm(error);
      }
    }
    this.noteStored(entry, lengthBytes);
    return false;
  }

  private isFirst(entry: number): boolean {
    if (entry >= this.options.knownEntries || this.seen.has(entry)) return false;
    this.seen.add(entry);
    return true;
  }

  private isPossible(entry: number, lengthBytes: number): boolean {
    const { known } = this.options;
    const { reliance } = this;
    if (!known.index.hasLength(entry, lengthBytes)) {
      this.alarm(`Pack ${known.packOf(entry)} lists a chunk of ${lengthBytes} bytes with another length.`);
      return false;
    }
    reliance.knownBytes += lengthBytes;
    if (this.isUnread(entry)) reliance.unreadBytes += lengthBytes;
    return true;
  }

  private isUnread(entry: number): boolean {
    const { index } = this.options.known;
    for (const place of index.places(entry)) if (!this.unreadPacks.has(index.packNumber(place))) return false;
    return true;
  }

  private isChosen(entry: number): boolean {
    const { prove } = this.options;
    if (prove === undefined) return false;
    if (prove === "new-packs") return this.isUnread(entry);
    return (keyedHash(Uint32Array.of(entry), this.sampleKey) / 2 ** 32) * 100 < prove;
  }

  private async storeAgain(volumes: VolumePlan[], wrong: Set<number>): Promise<void> {
    const { known, compression, checkpoints, counters, badBlocks } = this.options;
    const { storage } = known;
    const into = allocateAligned(CHUNK_BYTES);
    const places: { volume: VolumePlan; position: number; entry: number }[] = [];
    const missing = new Set(wrong);
    for (const volume of volumes) {
      volume.chunks.forEachChunk((position, entry) => {
        if (missing.delete(entry)) places.push({ volume, position, entry });
      });
    }
    const onPack = checkpoints.add.bind(checkpoints);
    await withPackWriter({ storage, compression, onPack }, async (writer, room) => {
      for (const { volume, position, entry } of places) {
        const { path, fd, sizeBytes } = volume.source;
        const offset = position * CHUNK_BYTES;
        const length = Math.min(CHUNK_BYTES, sizeBytes - offset);
        await salvageChunk({ path, fd, sizeBytes, offset, length, into, badBlocks });
        const payload = into.subarray(0, length);
        const id = known.index.id(entry);
        if (!storage.cipher.chunkId(payload).equals(id)) throw sourceChanged(path, offset);
        await room();
        counters.add("storedBytes", writer.append(id, payload));
        this.noteStored(entry, length);
      }
    });
  }

  private noteStored(entry: number, lengthBytes: number): void {
    this.storedAgain.add(entry);
    this.reliance.storedAgainBytes += lengthBytes;
    this.options.counters.add("newBytes", lengthBytes);
    this.options.counters.add("duplicateBytes", -lengthBytes);
  }

  private alarm(what: unknown): void {
    const { alarms } = this.reliance;
    const message = what instanceof Error ? what.message : String(what);
    // `verify --read-data` finds the others.
    if (alarms.length < MAX_ALARMS) alarms.push(message.slice(0, MAX_ALARM_LENGTH));
  }
}

function sourceChanged(path: string, offset: number): BlockferryError {
  return new BlockferryError({
    code: "SourceUnreadable",
    message: `${path} has different data at byte ${offset} than when this backup first read it, and the chunk that the repository lists for the first data is not there.`,
    remedy: "Back up a snapshot, or a file that no process writes to.",
    object: path,
    offset,
  });
}
