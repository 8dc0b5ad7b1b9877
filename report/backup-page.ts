import { formatBytes, formatPercent, formatSeconds } from "../command-line/format.js";
import { CHUNK_BYTES } from "../repository/format/chunk.js";
import {
  addSeconds,
  type BackupFigures,
  type BackupStep,
  MAP_KINDS,
  noSeconds,
  OUTCOMES,
  STAGES,
  type Stage,
  type StageSeconds,
  type VolumeReport,
} from "./backup-figures.js";
import { bars, dividedBar, type Markup, markup } from "./charts/plot.js";
import { ratesOverTime, sharesOverTime } from "./charts/time-charts.js";
import { volumeMap } from "./charts/volume-map.js";
import { figure, keyFigures, legend, page } from "./page.js";

const STEP_NAMES: Record<BackupStep, string> = {
  prepare: "open devices, take the lease",
  index: "load the index",
  holes: "find the holes",
  read: "read and store",
  maps: "store the block maps",
  commit: "commit the recovery point",
  compare: "compare with the previous point",
};

const STAGE_NAMES: Record<Stage, string> = {
  device: "waiting for the device",
  read: "issuing reads",
  zeros: "looking for zeros",
  hash: "hashing",
  compress: "compressing, packing",
  send: "sending",
  storage: "waiting for the storage",
};

/** Returns the report of a backup: a map of each volume, and the time of each activity. */
export function backupPage(figures: BackupFigures): Markup {
  const { point, machine, repository, createdAt, seconds, stats, tags } = figures;
  const labels = Object.entries(tags).map(([key, value]) => `${key}=${value}`);
  return page({
    title: `Backup ${point}`,
    figures,
    content: [
      markup`<h1>Backup of <bdi>${machine}</bdi></h1><p class="quiet">Recovery point ${point} in <bdi>${repository}</bdi>, ${createdAt.slice(0, 19).replace("T", " ")} UTC${labels.length === 0 ? "" : markup`; <bdi>${labels.join(", ")}</bdi>`}</p>`,
      keyFigures([
        ["read", formatBytes(stats.sourceBytes)],
        ["in", formatSeconds(seconds)],
        ["per second", formatBytes(stats.sourceBytes / seconds)],
        ["new", formatBytes(stats.newBytes)],
        ["stored", formatBytes(stats.storedBytes)],
      ]),
      markup`<h2>What was found</h2>`,
      ...(figures.compared
        ? []
        : [
            markup`<p>The previous recovery point could not be read: unchanged chunks are shown as deduplicated.</p>`,
          ]),
      ...figures.volumes.map(volumeSection),
      markup`<h2>Where the time went</h2>`,
      ...timeSection(figures),
    ],
  });
}

function volumeSection(volume: VolumeReport): Markup {
  const { name, source, sizeBytes, parent, bytes, unreadableBytes, cells, chunksPerCell } = volume;
  const cellBytes = chunksPerCell * CHUNK_BYTES;
  const compared =
    parent === null
      ? "There was no earlier backup of this volume to compare it with."
      : `Compared with ${parent}.`;
  const entries = OUTCOMES.map((outcome) => ({
    tone: outcome,
    name: outcome,
    value: `${formatBytes(bytes[outcome])} (${formatPercent(bytes[outcome], sizeBytes)})`,
  }));
  const bad = { tone: "bad", name: "unreadable", value: formatBytes(unreadableBytes) };
  const kinds = MAP_KINDS.map((kind) => ({
    name: kind === "bad" ? "with unreadable blocks" : kind,
    tone: kind,
  }));
  return markup`<section><h3><bdi>${name}</bdi>, ${formatBytes(sizeBytes)}</h3><p class="quiet">Read from <bdi>${source}</bdi>. ${compared} Each column is ${formatBytes(cellBytes)}; even the smallest part is drawn tall enough to be seen.</p>${figure(
    volumeMap(
      "Map of the volume",
      kinds,
      cells.map((counts) => ({ counts })),
      cellBytes,
    ),
  )}${legend(unreadableBytes > 0 ? [...entries, bad] : entries)}</section>`;
}

function timeSection(figures: BackupFigures): Markup[] {
  const steps = figures.steps.map(({ step, start, end }) => ({
    ...{ label: STEP_NAMES[step], tone: step === "read" ? "hash" : "other" },
    ...{ start, value: end - start, text: duration(end - start) },
  }));
  return [
    figure(bars("The steps of the backup", steps)),
    markup`<h3>Threads, while they read and stored</h3><p class="quiet">Threads: ${figures.threads}, reads in flight of each: ${figures.queueDepth}.</p>`,
    ...threadCharts(figures),
  ];
}

/** Returns charts of the threads' activities and throughput, also for the report of a benchmark. */
export function threadCharts({ stats, stages, timeline, threads }: BackupFigures): Markup[] {
  const together = stages.reduce(addSeconds, noSeconds());
  const whole = STAGES.reduce((sum, stage) => sum + together[stage], 0);
  const ends = timeline.map(({ seconds }) => seconds);
  const lengths = ends.map((end, span) => end - (ends[span - 1] ?? 0));
  const curve = (name: string, tone: string, amountIn: (span: number) => number) => ({
    ...{ name, tone },
    values: lengths.map((length, span) => amountIn(span) / Math.max(length, Number.EPSILON)),
  });
  return [
    markup`<p>${verdict(stats, together)}</p>`,
    figure(
      dividedBar(
        "What the threads did",
        STAGES.map((stage) => ({ name: STAGE_NAMES[stage], tone: stage, value: together[stage] })),
      ),
      legend(
        STAGES.map((stage) => ({
          ...{ tone: stage, name: STAGE_NAMES[stage] },
          value: formatPercent(together[stage], whole),
        })),
      ),
    ),
    figure(
      sharesOverTime(
        "What the threads did, over time",
        ends,
        STAGES.map((stage) =>
          curve(STAGE_NAMES[stage], stage, (span) => (timeline[span]?.stages[stage] ?? 0) / threads),
        ),
      ),
    ),
    markup`<h3>Throughput</h3>`,
    figure(
      ratesOverTime("Throughput over time", ends, [
        curve("read", "first", (span) => timeline[span]?.readBytes ?? 0),
        curve("stored", "second", (span) => timeline[span]?.storedBytes ?? 0),
      ]),
      legend([
        { tone: "first", name: "read, zeros and holes included" },
        { tone: "second", name: "stored" },
      ]),
    ),
  ];
}

/** Formats a duration; short steps in milliseconds. */
function duration(seconds: number): string {
  return seconds < 0.95 ? `${Math.round(seconds * 1000)} ms` : formatSeconds(seconds);
}

/**
 * Returns a sentence about the bottleneck.
 * The bottleneck is the activity that took most of the threads' time, if there is one.
 */
function verdict(
  { sourceBytes }: BackupFigures["stats"],
  { device, storage, ...work }: StageSeconds,
): string {
  if (sourceBytes === 0) return "The volumes are empty: there was nothing to read.";
  const working = Object.values(work).reduce((sum, seconds) => sum + seconds, 0);
  const whole = device + storage + working;
  if (whole === 0) return "The threads had nothing to do.";
  const share = (seconds: number) => formatPercent(seconds, whole);
  const shares = `The threads worked for ${share(working)} of their time; they waited for the device for ${share(device)} and for the storage for ${share(storage)}.`;
  const most = [
    { seconds: working, advice: "The processor was the limit: more cores would make it faster." },
    {
      seconds: device,
      advice: "The device was the limit: a faster one would help, and more reads in flight may.",
    },
    {
      seconds: storage,
      advice: "The storage was the limit: a faster connection to the repository would help.",
    },
  ].find(({ seconds }) => seconds > whole / 2);
  return most === undefined ? shares : `${shares} ${most.advice}`;
}
