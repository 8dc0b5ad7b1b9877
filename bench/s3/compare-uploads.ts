import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { heading, medianRatio, type Report } from "../report.js";
import { S3_ENVIRONMENT, startNullSink } from "./servers.js";
import type { UploadCost } from "./upload-main.js";
import { UPLOAD_WAYS, type UploadWay } from "./upload-ways.js";

const run = promisify(execFile);
const UPLOAD = fileURLToPath(new URL("./upload-main.js", import.meta.url));

/**
 * Measures the client's CPU time for uploading the same parts in several ways.
 * The ways take turns, and the server takes almost no CPU time.
 */
export async function compareUploads({ report, rounds }: { report: Report; rounds: number }): Promise<void> {
  heading("uploading parts of 8 MiB to a null sink, MB per CPU second");
  const ways = Object.keys(UPLOAD_WAYS) as UploadWay[];
  const speeds = new Map<UploadWay, number[]>(ways.map((way) => [way, []]));
  const sink = await startNullSink();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const way of ways) speeds.get(way)?.push(await speedOf(way, sink.endpointUrl));
    }
  } finally {
    await sink.stop();
  }
  for (const [way, samples] of speeds) {
    report.addSeries({ name: `upload: ${way}`, unit: "MB/CPU s", samples });
  }
  const against = (way: UploadWay) => medianRatio(speeds.get("blockferry") ?? [], speeds.get(way) ?? []);
  report.addBar({
    name: "upload, MB per CPU second against http.request",
    value: against("http.request"),
    target: 0.5,
    bound: "at least",
    unit: "x",
  });
  report.addBar({
    name: "upload, MB per CPU second against lib-storage",
    value: against("lib-storage, Readable, SDK defaults"),
    target: 3,
    bound: "at least",
    unit: "x",
  });
}

/** Measures one way in a process of its own, so that only the upload counts. */
async function speedOf(way: UploadWay, endpointUrl: string): Promise<number> {
  const env = { ...process.env, ...S3_ENVIRONMENT };
  const { stdout } = await run(process.execPath, [UPLOAD, way, endpointUrl], { env });
  const { bytes, cpuSeconds } = JSON.parse(stdout) as UploadCost;
  return bytes / cpuSeconds / 1e6;
}
