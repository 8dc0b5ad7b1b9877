import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { initRepository } from "../repository/open/repository.js";
import { listPoints, removePoint } from "../repository/points/points.js";
import { makeManyPoints, randomRuns } from "../test/support/many-points.js";
import { SeededRandom } from "../test/support/random.js";
import { measure, measureDurable } from "./measure.js";
import { heading, print, type Report } from "./report.js";
import { AGENT, resticEnvironment } from "./tools.js";

const SEED = "prune";
/** One in this many points is kept. So half of the stored data is removed, spread over all packs. */
const KEPT = 4;
const HOUR_MS = 3_600_000;
const FIRST_POINT_MS = Date.parse("2026-01-01T00:00:00Z");

interface PruneComparison {
  report: Report;
  workFolder: string;
  points: number;
}

/**
 * Prunes repositories of the same content, with 1,024 new chunks of 512 bytes in each point.
 * For restic each chunk is a file, which it stores as one blob. Both tools rewrite all packs, because half of
 * each pack is needed.
 */
export async function comparePrune({ report, workFolder, points }: PruneComparison): Promise<void> {
  heading(`Prune, ${points} points with ${points * 1024} chunks`);
  const repo = await fillBlockferry(join(workFolder, "prune-blockferry"), points);
  print("restic makes its snapshots one by one: that takes a while");
  const restic = await fillRestic(join(workFolder, "prune-restic"), points);
  const ours = await measureDurable([
    ...[...AGENT, "prune", "--repo", repo],
    ...["--grace-period=0s", "--rewrite-below=60"],
  ]);
  const theirs = await measureDurable(["restic", "--repo", restic.repo, "--quiet", "prune"], {
    env: restic.env,
  });
  report.addSeries({ name: "blockferry: prune", unit: "s", samples: [ours.wallSeconds] });
  report.addSeries({ name: "restic: prune", unit: "s", samples: [theirs.wallSeconds] });
  report.addBar({
    ...{ name: "prune: restic's time by blockferry's", value: theirs.wallSeconds / ours.wallSeconds },
    ...{ target: 1, bound: "at least", unit: "x" },
  });
  report.addBar({
    ...{ name: "prune: peak memory", value: ours.peakRssBytes / 2 ** 20 },
    ...{ target: 600, bound: "at most", unit: "MiB" },
  });
}

async function fillBlockferry(repo: string, count: number): Promise<string> {
  const repository = await initRepository(repo);
  await makeManyPoints(repository, randomRuns(count, new SeededRandom(SEED)));
  const { points } = await listPoints(repository.storage);
  for (const { id } of points.filter((_, number) => !isKept(number))) {
    await removePoint(repository.storage, id);
  }
  return repo;
}

/**
 * Creates the restic snapshots.
 * As in `makeManyPoints`, each snapshot contains its new files and the new files of the previous snapshot.
 */
async function fillRestic(folder: string, count: number) {
  const repo = join(folder, "repo");
  const source = join(folder, "source");
  const env = resticEnvironment(folder);
  const restic = (...args: string[]) => measure(["restic", "--repo", repo, "--quiet", ...args], { env });
  await mkdir(source, { recursive: true });
  await restic("init");
  let number = 0;
  for (const run of randomRuns(count, new SeededRandom(SEED))) {
    const files = join(source, String(number));
    await mkdir(files);
    for (const [name, chunk] of run.entries()) await writeFile(join(files, String(name)), chunk);
    await rm(join(source, String(number - 2)), { recursive: true, force: true });
    const tag = isKept(number) ? "kept" : "forgotten";
    await restic("backup", "--tag", tag, "--time", timeOf(number), source);
    number++;
  }
  const { stdout } = await restic("snapshots", "--tag", "forgotten", "--json");
  await restic("forget", ...(JSON.parse(stdout) as { id: string }[]).map(({ id }) => id));
  return { repo, env };
}

function isKept(number: number): boolean {
  return number % KEPT === KEPT - 1;
}

/** Formats the time of a snapshot for restic. */
function timeOf(number: number): string {
  return new Date(FIRST_POINT_MS + number * HOUR_MS).toISOString().slice(0, 19).replace("T", " ");
}
