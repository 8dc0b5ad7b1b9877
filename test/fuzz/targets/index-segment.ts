import { createHash } from "node:crypto";
import { salvagePack } from "../../../agent/maintenance/salvage-pack.js";
import { packsOf } from "../../../repository/format/index-segment.js";
import { readIndexSegment } from "../../../repository/index/segments.js";
import { StoredChunks } from "../../../repository/index/stored-chunks.js";
import { copySample, type SampleKind } from "../sample.js";
import { type FuzzTarget, tolerate } from "../target.js";

const CHUNKS_READ = 4;

/** Index segments before encryption. Each is stored under the hash of its bytes. */
export async function indexTarget(folder: string, kind: SampleKind): Promise<FuzzTarget> {
  const name = `index segment, ${kind}`;
  const sample = await copySample(folder, kind, name);
  const { storage } = sample;
  const seeds: Buffer[] = [];
  for (const { key } of await storage.list("index/")) {
    seeds.push(storage.cipher.decryptObject("index", await storage.get(key)) as Buffer);
    await sample.remove(key);
  }
  return {
    name,
    seeds,
    run: async (input) => {
      const stored = storage.cipher.encryptObject("index", input);
      const key = `index/${createHash("sha256").update(stored).digest("hex")}`;
      await sample.replace(key, stored);
      try {
        await readAll(key);
      } finally {
        await sample.remove(key);
      }
    },
  };

  async function readAll(key: string): Promise<void> {
    const stored = await StoredChunks.load(storage, { condemned: "last" });
    const { index, lost } = stored;
    for (let entry = 0; entry < Math.min(index.size, CHUNKS_READ); entry++) {
      lost.packOf(index.id(entry));
      await tolerate(() => stored.read(entry));
    }
    for (const pack of packsOf(await readIndexSegment(storage, key)).slice(0, 2)) {
      await tolerate(() => salvagePack(storage, pack, pack.sizeBytes));
    }
  }
}
