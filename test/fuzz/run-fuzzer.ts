import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { endWithParent } from "../../bench/end-with-parent.js";
import { CurrentInput } from "./current-input.js";
import type { FuzzOrder, FuzzReport } from "./fuzz-process.js";
import { LIMITS, type Limits } from "./limits.js";

const PROCESS = fileURLToPath(new URL("./fuzz-process.js", import.meta.url));
const LOOK_MS = 250;
/** The unit of proc_pid_stat(5), on every current Linux. */
const TICKS_PER_SECOND = 100;

interface FuzzerOptions extends Omit<FuzzOrder, "currentInput"> {
  limits?: Limits;
  onReport(report: FuzzReport): void;
}

/**
 * Fuzzes targets in separate processes. If a process dies or hangs, its input is a finding. A new process
 * continues with the targets that a process leaves.
 */
export async function runFuzzer({ limits = LIMITS, onReport, ...order }: FuzzerOptions): Promise<void> {
  let left = order.targets;
  while (left.length > 0) {
    const currentInput = join(order.folder, `current-${left[0]?.replaceAll(/[^a-z]/g, "-")}`);
    const done = new Set<string>();
    const failure = await runProcess({ ...order, targets: left, currentInput }, limits, (report) => {
      done.add(report.target);
      onReport(report);
    });
    const rest = left.filter((name) => !done.has(name));
    const [target] = rest;
    if (failure !== undefined && target !== undefined) {
      const at = CurrentInput.read(currentInput);
      if (at === undefined) throw new Error(`The fuzzer could not begin. ${failure}`);
      const { input, count } = at;
      const finding = { what: failure, input: input.toString("hex") };
      onReport({ target, inputs: count, corpus: 0, functions: 0, finding });
      rest.shift();
    }
    left = rest;
  }
}

/** Runs a process. @returns the reason if it did not finish */
async function runProcess(
  order: FuzzOrder,
  limits: Limits,
  onReport: (report: FuzzReport) => void,
): Promise<string | undefined> {
  const heap = `--max-old-space-size=${limits.heapMebibytes}`;
  const command = endWithParent([process.execPath, heap, PROCESS, JSON.stringify(order)]);
  const child = spawn(...command, { stdio: ["ignore", "pipe", "pipe"] });
  createInterface({ input: child.stdout }).on("line", (line) => onReport(JSON.parse(line) as FuzzReport));
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = `${said}${text}`.slice(-4000);
  });
  const watch = new Watch(child, order.currentInput, limits);
  const looking = setInterval(() => watch.look(), LOOK_MS);
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  clearInterval(looking);
  if (watch.verdict !== undefined) return watch.verdict;
  return code === 0 ? undefined : `The process ended with ${code ?? signal}.\n${said}`;
}

/** Kills a process that takes too long for one input. */
class Watch {
  verdict: string | undefined;
  private count = 0;
  private since = { cpuSeconds: 0, at: Date.now() };

  constructor(
    private readonly child: ChildProcess,
    private readonly currentInput: string,
    private readonly limits: Limits,
  ) {}

  look(): void {
    const now = { cpuSeconds: cpuSecondsOf(this.child.pid), at: Date.now() };
    const count = CurrentInput.read(this.currentInput)?.count ?? 0;
    if (count !== this.count) {
      this.count = count;
      this.since = now;
    }
    // Start-up is not an input: it may take any CPU time, as on a busy machine.
    const cpuSeconds = count === 0 ? 0 : now.cpuSeconds - this.since.cpuSeconds;
    const seconds = (now.at - this.since.at) / 1000;
    if (cpuSeconds < this.limits.cpuSeconds && seconds < this.limits.silentSeconds) return;
    this.verdict = `It hangs: ${cpuSeconds} s of CPU time, ${seconds} s in all.`;
    this.child.kill("SIGKILL");
  }
}

/** Returns the CPU time: fields 14 and 15 of proc_pid_stat(5), counted after the name. */
function cpuSecondsOf(pid: number | undefined): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}
