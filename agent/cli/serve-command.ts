import type { Argv } from "yargs";
import { interruptSignal } from "../../command-line/interrupt.js";
import { macKeyOption, parseMacKey } from "../../command-line/mac-key-option.js";
import { once, threadsOrAutoOption, usage } from "../../command-line/options.js";
import { EXIT, printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  parsePins,
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { BlockferryError } from "../../foundation/errors.js";
import { profileOf } from "../../repository/open/repository.js";
import type { StorageLocation } from "../../repository/storage/storage.js";
import { hasMetrics } from "../metrics/metrics-files.js";
import { type ServeReport, serve } from "../service/serve.js";
import { serviceLog } from "../service/service-log.js";
import { ServiceMetrics, ServiceReports } from "../service/service-records.js";
import { instanceId, repositoryFromUserData } from "../service/worker-identity.js";
import { type MetricsArguments, metricsFiles, metricsOptions, refuseMetricsFiles } from "./output-options.js";
import type { AgentOutput } from "./outputs.js";

interface ServeArguments extends Omit<StorageArguments, "repo">, MetricsArguments {
  threads: number | "auto" | undefined;
  repo: string | undefined;
  workerId: string;
  jobKey: string | undefined;
  replyKey: string | undefined;
  pollInterval: number;
  statusInterval: number;
  deviceTimeout: number;
  reportFolder: string | undefined;
  once: boolean;
  sysfs: string;
  dev: string;
  json: boolean;
}

export const serveCommand: Command<ServeArguments> = {
  command: "serve",
  describe: "Run as a service on a worker, and do the backups and restores that the controller requests",
  builder: (parser: Argv) =>
    parser
      .options({
        ...storageOptions,
        ...metricsOptions,
        repo: {
          ...storageOptions.repo,
          demandOption: false,
          describe: "Repository: s3://BUCKET/PREFIX or a local directory  [default: from the user data]",
        },
        "worker-id": {
          type: "string",
          requiresArg: true,
          default: "auto",
          coerce: once("worker-id"),
          describe: "Instance id whose jobs to do; `auto` asks the instance metadata service",
        },
        "job-key": macKeyOption(
          "job-key",
          "ARN of the KMS key that jobs must be signed with; all others are refused",
        ),
        "reply-key": macKeyOption(
          "reply-key",
          "ARN of the KMS key that heartbeats and results are signed with, for jobs that ask for it",
        ),
        "poll-interval": seconds("poll-interval", 5, "Seconds between two looks for jobs"),
        "status-interval": seconds("status-interval", 2, "Seconds between two heartbeats of a job"),
        "device-timeout": seconds("device-timeout", 120, "Seconds that a volume's device may take to appear"),
        threads: {
          ...threadsOrAutoOption,
          describe: "Threads of backups whose jobs do not set them, as in `backup`; `auto` measures first",
        },
        "report-folder": {
          type: "string",
          requiresArg: true,
          coerce: once("report-folder"),
          describe: "Folder for a report of each backup, as of `backup --report`: JOB.html",
        },
        once: { type: "boolean", default: false, describe: "Do the jobs that are there, then end" },
        sysfs: folder("sysfs", "/sys", "Mount point of sysfs"),
        dev: folder("dev", "/dev", "Folder of the devices"),
      })
      .example("$0 serve --repo s3://my-backups/fleet-a", "on an EC2 instance")
      .example(
        "$0 serve",
        "on an instance whose user data name the repository",
      ) as unknown as Argv<ServeArguments>,
  handler: async (args) => {
    const log = serviceLog(args.json);
    const intervals = {
      pollIntervalMs: milliseconds("poll-interval", args.pollInterval),
      statusIntervalMs: milliseconds("status-interval", args.statusInterval),
      deviceTimeoutMs: milliseconds("device-timeout", args.deviceTimeout),
    };
    await refuseMetricsFiles(args);
    const files = metricsFiles(args);
    const jobKeyArn = parseMacKey("job-key", args.jobKey);
    const replyKeyArn = parseMacKey("reply-key", args.replyKey);
    const location = await repositoryLocation(args);
    const worker = await workerId(args.workerId);
    const key = (arn: string | undefined) =>
      arn === undefined ? undefined : { arn, profile: profileOf(location) };
    const metrics = await ServiceMetrics.prepare(files, log);
    const reports = await ServiceReports.prepare(
      args.reportFolder,
      hasMetrics(files) ? "written" : "none",
      log,
    );
    const report = await serveUntilStopped(args, () =>
      serve(location, {
        ...{ jobKey: key(jobKeyArn), replyKey: key(replyKeyArn) },
        ...{ worker, log, ...intervals, signal: interruptSignal() },
        devices: { sysfs: args.sysfs, dev: args.dev },
        threads: args.threads,
        ...{ metrics, reports },
        until: args.once ? "no-job-is-left" : "stopped",
      }),
    );
    if (report === undefined) return;
    if (report.failed > 0) process.exitCode = EXIT.failed;
    printResult<AgentOutput<"serve">>(args.json, report, [
      `${report.jobs} jobs done, ${report.failed} of them failed.`,
    ]);
  },
};

/**
 * Runs the service. A request to stop is its normal end, not a failure.
 * @returns undefined if it was stopped
 */
async function serveUntilStopped(
  args: ServeArguments,
  run: () => Promise<ServeReport>,
): Promise<ServeReport | undefined> {
  try {
    return await run();
  } catch (error) {
    const isStop = error instanceof BlockferryError && error.code === "Interrupted" && !args.once;
    if (!isStop) throw error;
    return undefined;
  }
}

/** @throws Usage, UserDataInvalid, MetadataUnavailable */
async function repositoryLocation({ repo, ...args }: ServeArguments): Promise<StorageLocation> {
  if (repo !== undefined) return storageLocation({ ...args, repo });
  if (args.workerId !== "auto") {
    throw usage("--worker-id also needs --repo.", "Give --repo s3://BUCKET/PREFIX");
  }
  const said = await repositoryFromUserData();
  const location = storageLocation({
    ...args,
    repo: said.repo,
    region: args.region ?? said.region,
    endpointUrl: args.endpointUrl ?? said.endpointUrl,
    forcePathStyle: args.forcePathStyle ?? said.forcePathStyle,
    bucketOwner: args.bucketOwner ?? said.bucketOwner,
    allowInsecureHttp: args.allowInsecureHttp ?? said.allowInsecureHttp,
  });
  // Both the pin of the image (agent.env) and the pin of the controller must hold.
  const expect = [...(location.expect ?? []), ...parsePins("`expect` in the user data", said.expect)];
  return { ...location, expect };
}

/** @throws Usage, MetadataUnavailable */
async function workerId(wanted: string): Promise<string> {
  if (wanted === "auto") return instanceId();
  if (/^i-[0-9a-f]+$/.test(wanted)) return wanted;
  throw usage(`--worker-id ${wanted} is not an instance id.`, "Write, say, --worker-id i-0123456789abcdef0");
}

function seconds<Name extends string>(name: Name, value: number, describe: string) {
  return { type: "number", requiresArg: true, default: value, coerce: once(name), describe } as const;
}

function folder<Name extends string>(name: Name, path: string, describe: string) {
  return { type: "string", requiresArg: true, default: path, coerce: once(name), describe } as const;
}

/** @throws Usage */
function milliseconds(name: string, value: number): number {
  if (value >= 0.01 && value <= 86_400) return value * 1000;
  throw usage(`--${name} must be from 0.01 to 86400 seconds.`, "Leave it out for the default.");
}
