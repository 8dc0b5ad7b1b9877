import type { ChunkIndex } from "../../repository/chunk-index.js";
import type { Cipher } from "../../repository/encryption/cipher.js";
import type { PackWriter } from "../../repository/pack-writer.js";
import type { CounterRow } from "../counters.js";
import { NO_CLOCK, type StageClock } from "./stage-times.js";

/** Stores chunks that the repository does not have yet, and counts their bytes. */
export class ChunkStore {
  constructor(
    private readonly index: ChunkIndex,
    private readonly writer: PackWriter,
    private readonly counters: CounterRow,
    private readonly cipher: Cipher,
    private readonly clock: StageClock = NO_CLOCK,
  ) {}

  get hasRoom(): boolean {
    return this.writer.hasRoom;
  }

  /**
   * Stores a chunk, or finds it in the index. Call it only while `hasRoom` is true.
   * @returns the chunk's index entry
   */
  store(payload: Buffer): number {
    this.clock.enter("hash");
    const id = this.cipher.chunkId(payload);
    const entry = this.index.claim(id);
    if (entry >= 0) {
      this.counters.add("duplicateBytes", payload.length);
      return entry;
    }
    this.clock.enter("compress");
    this.counters.add("storedBytes", this.writer.append(id, payload));
    this.counters.add("newBytes", payload.length);
    return ~entry;
  }
}
