import { join } from "node:path";
import { backUpAnew, restoreAndCompare } from "./compare-backups.js";
import type { Measured } from "./measure.js";
import { folderPlace } from "./place.js";
import { heading, medianRatio, print, type Report } from "./report.js";
import { blockferry, encryptedBlockferry, type Tool } from "./tools.js";

/** The minimum throughput with encryption, relative to that without. */
const BAR = 0.85;

interface EncryptionOptions {
  report: Report;
  /** An image of files and one of random bytes; well-compressed data leaves less to encrypt. */
  images: { name: string; path: string }[];
  rounds: number;
  workFolder: string;
}

/** Measures backup and restore of each image, with and without encryption, round by round. */
export async function compareEncryption(options: EncryptionOptions): Promise<void> {
  const { report, images, rounds, workFolder } = options;
  const inJson = { backup: ["--json"], restore: ["--json"] };
  const plain = blockferry(folderPlace(join(workFolder, "plain-repo")), inJson);
  const encrypted = encryptedBlockferry(folderPlace(join(workFolder, "encrypted-repo")), inJson);
  for (const { name, path } of images) {
    heading(`encryption, ${name}`);
    const backups: Measured[][] = [];
    const restores: Measured[][] = [];
    for (let round = 0; round < rounds; round++) {
      print(`  round ${round + 1} of ${rounds}`);
      const order = round % 2 === 0 ? [plain, encrypted] : [encrypted, plain];
      backups.push(inPlace(order, plain, await each(order, (tool) => backUpAnew(tool, path))));
      restores.push(
        inPlace(order, plain, await each(order, (tool) => restoreAndCompare(tool, path, workFolder))),
      );
    }
    reportRuns(report, `${name}: backup`, backups);
    reportRuns(report, `${name}: restore`, restores);
  }
}

async function each(tools: Tool[], measureOne: (tool: Tool) => Promise<Measured>): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (const tool of tools) measured.push(await measureOne(tool));
  return measured;
}

/**
 * Returns the measurements with the unencrypted tool first.
 * The tools take turns in going first, because the first one in a round may find the machine in another
 * state.
 */
function inPlace(order: Tool[], plain: Tool, measured: Measured[]): Measured[] {
  return order[0] === plain ? measured : measured.toReversed();
}

function reportRuns(report: Report, name: string, rounds: Measured[][]): void {
  const samples = (tool: number, figure: (measured: Measured) => number) =>
    rounds.map((round) => figure(round[tool] as Measured));
  for (const [tool, kind] of ["plain", "encrypted"].entries()) {
    report.addSeries({ name: `${name}, ${kind}`, unit: "s", samples: samples(tool, secondsOf) });
    const cpuSeconds = samples(tool, (measured) => measured.cpuSeconds);
    report.addSeries({ name: `${name}, ${kind}, CPU`, unit: "CPU s", samples: cpuSeconds });
    const peaks = samples(tool, ({ peakRssBytes }) => peakRssBytes / 2 ** 20);
    report.addSeries({ name: `${name}, ${kind}, peak memory`, unit: "MiB", samples: peaks });
  }
  report.addBar({
    name: `${name}, throughput with encryption`,
    value: medianRatio(samples(0, secondsOf), samples(1, secondsOf)),
    ...{ target: BAR, bound: "at least", unit: "x" },
  });
}

/**
 * Returns the time that the command itself reports.
 * It excludes stretching the passphrase, which does not depend on the image.
 */
function secondsOf({ stdout }: Measured): number {
  return (JSON.parse(stdout) as { seconds: number }).seconds;
}
