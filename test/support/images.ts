import { open } from "node:fs/promises";
import { CHUNK_BYTES } from "../../repository/format/chunk.js";
import type { SeededRandom } from "./random.js";

/**
 * Writes an image file with every kind of content: random, compressible and duplicate chunks, written zeros,
 * and holes.
 */
export async function writeMixedImage(path: string, sizeBytes: number, random: SeededRandom): Promise<void> {
  const file = await open(path, "w");
  try {
    const earlier: Buffer[] = [random.bytes(CHUNK_BYTES)];
    for (let offset = 0; offset < sizeBytes; offset += CHUNK_BYTES) {
      const chunk = mixedChunk(random, earlier);
      if (chunk !== undefined) {
        await file.write(chunk, 0, Math.min(CHUNK_BYTES, sizeBytes - offset), offset);
      }
    }
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
}

function mixedChunk(random: SeededRandom, earlier: Buffer[]): Buffer | undefined {
  switch (random.below(6)) {
    case 0:
      return undefined;
    case 1:
      return Buffer.alloc(CHUNK_BYTES);
    case 2:
      return random.pick(earlier);
    case 3: {
      const line = `${random.bytes(24).toString("hex")}\n`;
      return Buffer.from(line.repeat(Math.ceil(CHUNK_BYTES / line.length))).subarray(0, CHUNK_BYTES);
    }
    default: {
      const chunk = random.bytes(CHUNK_BYTES);
      if (earlier.length < 8) earlier.push(chunk);
      return chunk;
    }
  }
}
