import { isDeepStrictEqual } from "node:util";
import { workerData } from "node:worker_threads";
import { asBlockferryError, BlockferryError } from "../../foundation/errors.js";
import { allocateAligned } from "../../native-free-io/block-source.js";
import { CHUNK_BYTES, type ChunkRecord, PACK_HEADER_BYTES } from "../../repository/format/chunk.js";
import { checkStoredBytes, decodeChunk } from "../../repository/format/chunk-codec.js";
import { packCorrupt, packHeader, packKey } from "../../repository/format/pack.js";
import { ChunkIndex } from "../../repository/index/chunk-index.js";
import { readPackFooter, recordsOf } from "../../repository/packs/pack-reader.js";
import { openStorage, preloadStorage } from "../../repository/storage/open-storage.js";
import { againIfDamaged } from "../../repository/storage/read-object.js";
import { READ_SLACK_BYTES, type Storage } from "../../repository/storage/storage.js";
import { wasNotAnswered } from "../../repository/storage/storage-errors.js";
import { coalesce, RUN_BYTES } from "../restore/pack-runs.js";
import { type CounterRow, Counters, StopFlag } from "../threads/shared-memory.js";
import { type ThreadContext, type ThreadData, threadMain } from "../threads/thread-pool.js";
import { PackEntries, type PackToRead, type VerifyTask, type VerifyThreadResult } from "./messages.js";

preloadStorage((workerData as ThreadData).storage);

/** Packs that a thread reads at once: while one waits for storage, another is hashed. */
const PACKS_IN_FLIGHT = 3;

/** Reads whole packs, and proves every byte of them. */
export default function verifyThread(task: VerifyTask & ThreadContext) {
  const stop = StopFlag.attach(task.stop);
  return threadMain<VerifyThreadResult>(task, stop, async (stopped) => {
    const storage = (await openStorage(task.storage)).until(stopped);
    return new PackVerifier(task, storage, stop).run();
  });
}

class PackVerifier {
  private readonly index: ChunkIndex;
  private readonly packEntries: PackEntries;
  private readonly taken: Int32Array;
  private readonly proven: Uint8Array;
  private readonly counters: CounterRow;
  private readonly chunkBuffer = Buffer.allocUnsafe(CHUNK_BYTES);
  private readonly problems: BlockferryError[] = [];

  constructor(
    private readonly task: VerifyTask & ThreadContext,
    private readonly storage: Storage,
    private readonly stop: StopFlag,
  ) {
    this.index = ChunkIndex.attach(task.index);
    this.packEntries = PackEntries.attach(task.packEntries);
    this.taken = new Int32Array(task.taken);
    this.proven = new Uint8Array(task.proven);
    this.counters = Counters.attach(task.counters).row(task.thread);
  }

  async run(): Promise<VerifyThreadResult> {
    await Promise.all(Array.from({ length: PACKS_IN_FLIGHT }, () => this.work()));
    return this.problems.map((problem) => problem.toRecord());
  }

  private async work(): Promise<void> {
    const buffer = allocateAligned(RUN_BYTES + READ_SLACK_BYTES);
    for (let pack = this.nextPack(); pack !== undefined; pack = this.nextPack()) {
      try {
        await this.verifyPack(pack, buffer);
      } catch (error) {
        if (wasNotAnswered(error)) throw error;
        this.problems.push(asBlockferryError(error));
      }
      this.counters.add("doneBytes", pack.sizeBytes);
    }
  }

  private nextPack(): PackToRead | undefined {
    return this.stop.isSet ? undefined : this.task.selection[Atomics.add(this.taken, 0, 1)];
  }

  /** Header, payloads, footer and trailer follow each other without a gap, so all bytes are covered. */
  private async verifyPack(pack: PackToRead, buffer: Buffer): Promise<void> {
    const { id, packNumber } = pack;
    const records = await this.readRecords(pack);
    await this.report(againIfDamaged(() => this.verifyHeader(id)));
    const places = this.placesIn(packNumber);
    const wanted = records.map((record) => ({ entry: -1, record, packNumber, positions: [] }));
    for (const run of coalesce(wanted)) {
      if (this.stop.isSet) return;
      const range = { offset: run.offset, length: run.length };
      const bytes = await this.storage.get(packKey(id), { range, into: buffer });
      for (const { record } of run.chunks) {
        const start = record.offset - run.offset;
        const stored = bytes.subarray(start, start + record.storedBytes);
        const isProven = await this.report(
          againIfDamaged((again) => this.prove(id, record, again ? undefined : stored)),
        );
        if (isProven) this.markProven(places.get(record.offset) ?? [], record);
      }
    }
  }

  /**
   * Records the error of failed work as a problem.
   * @returns whether the work succeeded
   */
  private async report(work: Promise<void>): Promise<boolean> {
    try {
      await work;
      return true;
    } catch (error) {
      if (wasNotAnswered(error)) throw error;
      this.problems.push(asBlockferryError(error));
      return false;
    }
  }

  private async verifyHeader(id: string): Promise<void> {
    const header = await this.storage.get(packKey(id), { range: { offset: 0, length: PACK_HEADER_BYTES } });
    if (!header.equals(packHeader(id, this.storage.cipher.layout)))
      throw packCorrupt(id, 0, "its header belongs to another pack");
  }

  /**
   * Reads the records of a pack. If the footer is damaged, returns the records of the index: a restore can
   * still use them.
   */
  private async readRecords({ id, packNumber, sizeBytes }: PackToRead): Promise<ChunkRecord[]> {
    try {
      return recordsOf((await readPackFooter(this.storage, id, sizeBytes)).footer);
    } catch (error) {
      if (!(error instanceof BlockferryError) || error.code !== "PackCorrupt") throw error;
      this.problems.push(error);
      const records = Array.from(this.packEntries.of(packNumber), (place) => this.index.record(place));
      return records.sort((a, b) => a.offset - b.offset);
    }
  }

  /** @param stored the chunk's bytes; read from storage if undefined */
  private async prove(packId: string, record: ChunkRecord, stored?: Buffer): Promise<void> {
    const range = { offset: record.offset, length: record.storedBytes };
    const bytes = stored ?? (await this.storage.get(packKey(packId), { range }));
    decodeChunk(record, packId, bytes, this.chunkBuffer, this.storage.cipher);
    checkStoredBytes(record, packId, bytes, this.storage.cipher);
  }

  /** Returns the index places of a pack, by offset. */
  private placesIn(packNumber: number): Map<number, number[]> {
    const places = new Map<number, number[]>();
    for (const place of this.packEntries.of(packNumber)) {
      const { offset } = this.index.record(place);
      const others = places.get(offset);
      if (others === undefined) places.set(offset, [place]);
      else others.push(place);
    }
    return places;
  }

  /**
   * Marks index places as proven that are identical to a proven record.
   * @param places index places at the offset of the record
   */
  private markProven(places: number[], record: ChunkRecord): void {
    for (const place of places) {
      if (isDeepStrictEqual(this.index.record(place), record)) this.proven[place] = 1;
    }
  }
}
