import { formatBytes, formatPercent, formatSeconds } from "../../command-line/format.js";
import { threadCharts } from "../../report/backup-page.js";
import { bars, type Markup, markup } from "../../report/charts/plot.js";
import { ratesByStep } from "../../report/charts/time-charts.js";
import { figure, keyFigures, legend, page, table } from "../../report/page.js";
import { median } from "../report.js";
import { type DeviceFigures, fastest, type Timed } from "./figures.js";
import { attainable, type MeasuredPoint, type Roofs, roofline } from "./roofline.js";

const TONES = ["first", "second", "third", "fourth"];
const TOOL_TONES: Record<string, string> = { blockferry: "first", borg: "second", restic: "third" };

/** Returns the report of a device benchmark. */
export function benchPage(figures: DeviceFigures): Markup {
  const { machine, device, sizeBytes, repository, startedAt, rounds, tools } = figures;
  const best = fastest(figures.backups);
  const rate = (times: Timed) => sizeBytes / median(times.wallSeconds);
  const roofs = roofsOf(figures);
  const point = bestPoint(figures);
  return page({
    title: `Benchmark of ${device}`,
    figures,
    content: [
      markup`<h1>Benchmark of <bdi>${device}</bdi></h1><p class="quiet">${formatBytes(sizeBytes)}, into <bdi>${repository}</bdi>, ${startedAt.slice(0, 19).replace("T", " ")} UTC. ${machine.cpu}, ${machine.cores} cores, ${formatBytes(machine.memoryBytes)} of memory, Linux ${machine.kernel}, Node ${machine.node}. Rounds: ${rounds}; of several the median counts.</p>`,
      keyFigures([
        ["first backup", `${formatBytes(rate(best))}/s`],
        ["of the limit", formatPercent(point.bytesPerSecond, attainable(roofs, point.intensity))],
        ["nothing changed", `${formatBytes(tools[0] === undefined ? 0 : rate(tools[0].again))}/s`],
        ["restore", `${formatBytes(rate(fastest(figures.restores)))}/s`],
      ]),
      markup`<h2>What the machine allows</h2><p>The device is the best that fio got; the figures of the processor and of the connection to the repository are from <code>tune</code>. The thick line is the limit that all of them set together.</p>`,
      figure(
        roofline("Roofline", roofs, [point]),
        legend([
          { tone: "fourth", name: "device", value: `${formatBytes(roofs.device)}/s` },
          { tone: "hash", name: "processor", value: `${formatBytes(roofs.cpu)}/s` },
          ...(roofs.storage === undefined
            ? []
            : [{ tone: "send", name: "repository, stored", value: `${formatBytes(roofs.storage)}/s` }]),
          { tone: point.tone, name: point.name, value: `${formatBytes(point.bytesPerSecond)}/s` },
        ]),
      ),
      markup`<h3>The device, with more and more reads in flight</h3>`,
      figure(...deviceCharts(figures)),
      markup`<h2>Threads and reads in flight</h2>`,
      ...sweepCharts(figures),
      markup`<h2>The fastest backup</h2><p class="quiet">Threads: ${best.threads}, reads in flight of each: ${best.queueDepth}.</p>`,
      ...threadCharts(figures.best),
      markup`<h2>Beside other tools</h2><p class="quiet">Whole commands, each until what it wrote is on disk; into S3 until it ends. restic reads the device from its standard input.</p>`,
      ...toolCharts(figures),
      markup`<h2>Every figure</h2>`,
      measurements(figures),
    ],
  });
}

function roofsOf({ fio, tuning }: DeviceFigures): Roofs {
  const { upload } = tuning.figures;
  const bestOf = (speeds: { bytesPerSecond: number }[]) =>
    Math.max(...speeds.map(({ bytesPerSecond }) => bytesPerSecond));
  const storage = upload.length === 0 ? undefined : bestOf(upload);
  return { device: bestOf(fio), cpu: tuning.advice.limits.cpu, storage };
}

function bestPoint({ backups, best, sizeBytes }: DeviceFigures): MeasuredPoint {
  const { storedBytes } = best.stats;
  return {
    ...{ name: "first backup", tone: "new", intensity: sizeBytes / Math.max(1, storedBytes) },
    bytesPerSecond: sizeBytes / median(fastest(backups).wallSeconds),
  };
}

function deviceCharts({ fio, tuning }: DeviceFigures): Markup[] {
  const depths = fio.map(({ inFlight }) => inFlight);
  const own = depths.map(
    (depth) => tuning.figures.read.find(({ inFlight }) => inFlight === depth)?.bytesPerSecond,
  );
  const isWhole = own.every((speed) => speed !== undefined);
  const curves = [
    { name: "fio", tone: "fourth", values: fio.map(({ bytesPerSecond }) => bytesPerSecond) },
    ...(isWhole ? [{ name: "tune", tone: "first", values: own }] : []),
  ];
  return [
    ratesByStep("The device, by reads in flight", depths.map(String), "reads of 512 KiB in flight", curves),
    legend(curves),
  ];
}

function sweepCharts({ backups, restores, sizeBytes }: DeviceFigures): Markup[] {
  const depths = [...new Set(backups.map(({ queueDepth }) => queueDepth))];
  const threads = [...new Set(backups.map(({ threads }) => threads))];
  const curves = threads.map((count, number) => ({
    name: `${count} ${count === 1 ? "thread" : "threads"}`,
    tone: TONES[number % TONES.length] as string,
    values: backups
      .filter((backup) => backup.threads === count)
      .map(({ wallSeconds }) => sizeBytes / median(wallSeconds)),
  }));
  return [
    markup`<h3>First backup</h3>`,
    figure(
      ratesByStep(
        "Backups, by threads and reads in flight",
        depths.map(String),
        "reads in flight of each thread",
        curves,
      ),
      legend(curves),
    ),
    markup`<h3>Restore</h3>`,
    figure(
      bars(
        "Restores, by threads",
        restores.map(({ threads: count, wallSeconds }) => ({
          ...{ label: `${count} ${count === 1 ? "thread" : "threads"}`, tone: "first" },
          ...rateBar(sizeBytes / median(wallSeconds)),
        })),
      ),
    ),
  ];
}

function rateBar(value: number): { value: number; text: string } {
  return { value, text: `${formatBytes(value)}/s` };
}

function toolCharts({ tools }: DeviceFigures): Markup[] {
  const chart = (name: string, timesOf: (tool: DeviceFigures["tools"][number]) => Timed) => {
    const ours = Number(tools[0] && median(timesOf(tools[0]).wallSeconds));
    return figure(
      bars(
        name,
        tools.map((tool, number) => {
          const seconds = median(timesOf(tool).wallSeconds);
          const times = number === 0 ? "" : ` (${(seconds / ours).toFixed(1)}x)`;
          const tone = TOOL_TONES[tool.name] ?? "other";
          return { label: tool.name, tone, value: seconds, text: `${formatSeconds(seconds)}${times}` };
        }),
      ),
    );
  };
  return [
    markup`<h3>First backup</h3>`,
    chart("First backup, tools compared", ({ backup }) => backup),
    markup`<h3>Second backup, nothing changed</h3>`,
    chart("Second backup, tools compared", ({ again }) => again),
    markup`<h3>Restore</h3>`,
    chart("Restore, tools compared", ({ restore }) => restore),
  ];
}

function measurements({ backups, restores, tools, sizeBytes }: DeviceFigures): Markup {
  const row = (name: string, { wallSeconds, cpuSeconds }: Timed) => [
    name,
    `${median(wallSeconds).toFixed(2)} s`,
    `${Math.min(...wallSeconds).toFixed(2)} to ${Math.max(...wallSeconds).toFixed(2)} s`,
    `${median(cpuSeconds).toFixed(2)} s`,
    `${formatBytes(sizeBytes / median(wallSeconds))}/s`,
  ];
  return table([
    ["", "time", "of all rounds", "processor", "throughput"],
    ...backups.map((one) => row(`backup, ${one.threads} x ${one.queueDepth}`, one)),
    ...restores.map((one) => row(`restore, ${one.threads}`, one)),
    ...tools.flatMap(({ name, backup, again, restore }) => [
      row(`${name}: backup`, backup),
      row(`${name}: second backup`, again),
      row(`${name}: restore`, restore),
    ]),
  ]);
}
