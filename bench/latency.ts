import { execFile } from "node:child_process";
import { once } from "node:events";
import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { spawnWithParent } from "./end-with-parent.js";
import { measure } from "./measure.js";
import { folderPlace } from "./place.js";
import { heading, medianRatio, type Report } from "./report.js";
import { blockferry } from "./tools.js";

const run = promisify(execFile);
const LATENCY_MS = 20;
const MOUNT_DEADLINE_MS = 10_000;

interface LatencyOptions {
  report: Report;
  /** A small image, because each request takes 20 ms. */
  image: string;
  rounds: number;
  workFolder: string;
}

/**
 * Reads a device that answers every request after 20 ms, like a volume that loads lazily from its snapshot.
 * libfuse serves 10 requests at once, so no reader can be more than 10 times as fast as a sequential one.
 */
export async function compareOnLatency({ report, image, rounds, workFolder }: LatencyOptions): Promise<void> {
  heading(`device with ${LATENCY_MS} ms for every request`);
  const device = await mountSlowly(image, workFolder);
  const tool = blockferry(folderPlace(join(workFolder, "blockferry-repo")));
  const ours: number[] = [];
  const direct: number[] = [];
  const buffered: number[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      const dd = ["dd", `if=${device.path}`, "of=/dev/null", "bs=512K"];
      direct.push((await measure([...dd, "iflag=direct"])).wallSeconds);
      if (round === 0) buffered.push((await measure(dd)).wallSeconds);
      await tool.reset();
      ours.push((await tool.backup(device.path)).wallSeconds);
    }
  } finally {
    await device.unmount();
  }
  report.addSeries({
    name: "sequential reader, O_DIRECT (dd bs=512K iflag=direct)",
    unit: "s",
    samples: direct,
  });
  report.addSeries({
    name: "sequential reader with the kernel's read-ahead (dd)",
    unit: "s",
    samples: buffered,
  });
  report.addSeries({ name: "blockferry: backup", unit: "s", samples: ours });
  const better = direct.map((seconds) => Math.min(seconds, ...buffered));
  const value = medianRatio(better, ours);
  report.addBar({
    name: "slow device, times faster than a sequential reader",
    value,
    target: 8,
    bound: "at least",
    unit: "x",
  });
}

interface SlowDevice {
  path: string;
  unmount(): Promise<void>;
}

/** Shows the image as a file by nbdfuse, behind nbdkit's delay filter. */
async function mountSlowly(image: string, workFolder: string): Promise<SlowDevice> {
  const path = join(workFolder, "slow-device");
  const socket = join(workFolder, "slow-device.sock");
  await rm(socket, { force: true });
  await writeFile(path, "");
  const delay = ["--filter=delay", "file", image, `rdelay=${LATENCY_MS}ms`];
  const server = spawnWithParent("nbdkit", [
    "--foreground",
    "--unix",
    socket,
    "--threads",
    "64",
    "--readonly",
    ...delay,
  ]);
  await until(async () => (await stat(socket).catch(() => undefined)) !== undefined);
  const uri = `nbd+unix:///?socket=${socket}`;
  const fuse = spawnWithParent("nbdfuse", ["--readonly", "--connections", "16", path, uri]);
  const { size } = await stat(image);
  await until(async () => (await stat(path)).size === size);
  return {
    path,
    unmount: async () => {
      const ended = once(fuse, "close");
      await run("umount", [path]);
      await ended;
      server.kill();
    },
  };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + MOUNT_DEADLINE_MS; !(await condition()); ) {
    if (Date.now() > deadline)
      throw new Error(`nbdkit and nbdfuse were not ready after ${MOUNT_DEADLINE_MS} ms`);
    await sleep(20);
  }
}
