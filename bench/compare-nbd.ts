import { execFile } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { restoreAndCompare } from "./compare-backups.js";
import { spawnWithParent } from "./end-with-parent.js";
import { emptyPageCache, measureDurable } from "./measure.js";
import { folderPlace } from "./place.js";
import { heading, medianRatio, type Report } from "./report.js";
import { AGENT, blockferry, emptyFolder } from "./tools.js";

const run = promisify(execFile);

interface CompareNbdOptions {
  report: Report;
  image: string;
  rounds: number;
  workFolder: string;
}

/**
 * Compares a copy from the NBD server by nbdcopy with a restore.
 * Both are measured until all data is on disk.
 */
export async function compareNbdWithRestore({
  report,
  image,
  rounds,
  workFolder,
}: CompareNbdOptions): Promise<void> {
  heading("NBD server, beside restore");
  const tool = blockferry(folderPlace(join(workFolder, "blockferry-repo")));
  await tool.reset();
  await tool.backup(image);
  const restores: number[] = [];
  const copies: number[] = [];
  for (let round = 0; round < rounds; round++) {
    restores.push((await restoreAndCompare(tool, image, workFolder)).wallSeconds);
    copies.push(await copyByNbd(join(workFolder, "blockferry-repo"), image, workFolder));
  }
  report.addSeries({ name: "blockferry: restore", unit: "s", samples: restores });
  report.addSeries({ name: "blockferry: nbd, copied by nbdcopy", unit: "s", samples: copies });
  const ratio = medianRatio(restores, copies);
  report.addSeries({ name: "speed of nbdcopy, against restore", unit: "x", samples: [ratio] });
}

/** @returns wall seconds; the server already listens when the clock starts */
async function copyByNbd(repo: string, image: string, workFolder: string): Promise<number> {
  const folder = await emptyFolder(join(workFolder, "copied"));
  const path = join(folder, "copied.img");
  const [node, agent] = AGENT as [string, string];
  const listen = `unix:${join(folder, "nbd.sock")}`;
  const args = [agent, "nbd", "--repo", repo, "--point", "latest", "--listen", listen, "--json"];
  const server = spawnWithParent(node, args, { stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(server, "close");
  try {
    const [line] = (await once(server.stdout as Readable, "data")) as [Buffer];
    const { listening } = JSON.parse(line.toString()) as { listening: string };
    await emptyPageCache();
    const { wallSeconds } = await measureDurable(["nbdcopy", listening, path]);
    await run("cmp", [path, image]);
    return wallSeconds;
  } finally {
    server.kill();
    await ended;
    await rm(folder, { recursive: true });
  }
}
