import { join } from "node:path";
import { folderPlace } from "./place.js";
import { heading, type Report } from "./report.js";
import { blockferry } from "./tools.js";

/** Measures peak memory of a backup of a large, sparse device with default flags. */
export async function measureMemory(report: Report, image: string, workFolder: string): Promise<void> {
  heading("64 GiB sparse image");
  const tool = blockferry(folderPlace(join(workFolder, "blockferry-repo")));
  await tool.reset();
  const { wallSeconds, peakRssBytes } = await tool.backup(image);
  report.addSeries({ name: "blockferry: backup", unit: "s", samples: [wallSeconds] });
  const value = peakRssBytes / 2 ** 20;
  report.addBar({ name: "peak memory, default flags", value, target: 400, bound: "at most", unit: "MiB" });
}
