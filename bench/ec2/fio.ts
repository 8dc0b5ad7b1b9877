import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { SpeedAt } from "../../agent/tune/advise.js";
import { endWithParent } from "../end-with-parent.js";

const run = promisify(execFile);

interface FioOutput {
  jobs: { error: number; read: { bw_bytes: number } }[];
}

/**
 * Returns the speed of the device under fio, by reads in flight.
 * Size and pattern of the reads are those of a backup. Each depth starts at another offset, because a lazily
 * loaded volume is fast where it was read before.
 */
export async function sweepWithFio(device: string, depths: number[], seconds: number): Promise<SpeedAt[]> {
  const speeds: SpeedAt[] = [];
  for (const [number, inFlight] of depths.entries()) {
    const command = [
      ...["fio", "--name=read", `--filename=${device}`, "--readonly", "--rw=read", "--bs=512k"],
      ...["--direct=1", "--ioengine=libaio", `--iodepth=${inFlight}`],
      ...[`--offset=${Math.floor((100 * number) / depths.length)}%`, "--time_based", `--runtime=${seconds}`],
      "--output-format=json",
    ];
    const { stdout } = await run(...endWithParent(command), { maxBuffer: 2 ** 24 });
    const [job] = (JSON.parse(stdout) as FioOutput).jobs;
    if (job === undefined || job.error !== 0) throw new Error(`fio failed on ${device}: ${stdout}`);
    speeds.push({ inFlight, bytesPerSecond: job.read.bw_bytes });
  }
  return speeds;
}
