import { randomFillSync } from "node:crypto";
import { makeParts, PART_BYTES, UPLOAD_WAYS, type UploadWay } from "./upload-ways.js";

/** As many parts as a pack has. */
const PARTS_PER_OBJECT = 8;
/** Time for the compiler to do most of its work. */
const WARM_UP_SECONDS = 1;
const MEASURED_SECONDS = 3;

/** The cost of one way of uploading, over all threads of the process. */
export interface UploadCost {
  bytes: number;
  cpuSeconds: number;
}

/** `upload-main WAY ENDPOINT` uploads for some CPU seconds and prints its `UploadCost` as JSON. */
const [way, endpoint] = process.argv.slice(2) as [UploadWay, string];
const upload = await UPLOAD_WAYS[way](endpoint);
const parts = makeParts(PARTS_PER_OBJECT, (part) => randomFillSync(part));
await uploadFor(WARM_UP_SECONDS);
process.stdout.write(JSON.stringify(await uploadFor(MEASURED_SECONDS)));

async function uploadFor(seconds: number): Promise<UploadCost> {
  const start = process.cpuUsage();
  for (let number = 1; ; number++) {
    await upload(`packs/${number}`, parts);
    const { user, system } = process.cpuUsage(start);
    const cpuSeconds = (user + system) / 1e6;
    if (cpuSeconds >= seconds) return { bytes: number * PARTS_PER_OBJECT * PART_BYTES, cpuSeconds };
  }
}
