import type { Argv } from "yargs";
import { formatBytes, formatTable } from "../../command-line/format.js";
import { interruptSignal } from "../../command-line/interrupt.js";
import { printResult } from "../../command-line/output.js";
import type { Command } from "../../command-line/run-command-line.js";
import {
  type StorageArguments,
  storageLocation,
  storageOptions,
} from "../../command-line/storage-options.js";
import { openRepository } from "../../repository/open/repository.js";
import { withReadLease } from "../../repository/protocol/lease.js";
import { type RepositoryStats, repositoryStats } from "../maintenance/survey.js";
import type { AgentOutput } from "./outputs.js";
import { progressWatcher } from "./progress.js";

interface StatsArguments extends StorageArguments {
  json: boolean;
}

export const statsCommand: Command<StatsArguments> = {
  command: "stats",
  describe:
    "Show the sizes of the repository, its needed share, and the space that forgetting each point would free",
  builder: (parser: Argv) =>
    parser
      .options({ ...storageOptions })
      .example("$0 stats --repo repo", "sizes and ratios") as unknown as Argv<StatsArguments>,
  handler: async ({ json, ...args }) => {
    const signal = interruptSignal();
    const repository = await openRepository(storageLocation(args), signal);
    const stats = await withReadLease(repository.storage, { watcher: progressWatcher(json), signal }, () =>
      repositoryStats(repository, signal),
    );
    printResult<AgentOutput<"stats">>(json, stats, describe(stats));
  },
};

function describe(stats: RepositoryStats): string[] {
  const totals = [
    ["logical", formatBytes(stats.logicalBytes), `all volumes of ${stats.points} points`],
    ["unique", formatBytes(stats.uniqueBytes), `${stats.chunks} chunks that points need`],
    ["compressed", formatBytes(stats.compressedBytes), "the same as they are stored"],
    ["stored", formatBytes(stats.storedBytes), `${stats.packs} packs`],
    ["dead", formatBytes(stats.deadBytes), "in these packs, but needed by no point"],
  ];
  const rows = stats.perPoint.map(({ id, logicalBytes, deduplication, compression, freedBytes }) => [
    id,
    formatBytes(logicalBytes),
    formatRatio(deduplication),
    formatRatio(compression),
    formatBytes(freedBytes),
  ]);
  const table = formatTable([["POINT", "LOGICAL", "DEDUPLICATED", "COMPRESSED", "WOULD FREE"], ...rows]);
  return [...formatTable(totals), ...(rows.length === 0 ? [] : ["", ...table])];
}

function formatRatio(ratio: number | null): string {
  return ratio === null ? "-" : `${ratio.toFixed(1)}x`;
}
