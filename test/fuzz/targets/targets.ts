import type { FuzzTarget } from "../target.js";
import { blockMapTarget } from "./block-map.js";
import { chunkTarget } from "./chunks.js";
import { documentTargets } from "./documents.js";
import { indexTarget } from "./index-segment.js";
import { nbdTarget } from "./nbd.js";
import { packTargets } from "./packs.js";

/** Returns a target for all code that reads untrusted data. @param folder for their samples */
export async function makeTargets(folder: string): Promise<FuzzTarget[]> {
  const kinds = ["plain", "encrypted"] as const;
  const binary = kinds.map(async (kind) => [
    ...(await packTargets(folder, kind)),
    await chunkTarget(folder, kind),
    await indexTarget(folder, kind),
  ]);
  const targets = [
    ...(await Promise.all(binary)).flat(),
    await blockMapTarget(folder),
    ...(await Promise.all(documentTargets(folder))),
    await nbdTarget(folder),
  ];
  return targets;
}
