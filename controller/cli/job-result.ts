import type { JournalRecord } from "../journal-record.js";

/** What a command prints that has done a job: `json` for `--json`, `text` for people. */
export function jobResult({ job, plan, made, outcome }: JournalRecord): { json: object; text: string } {
  const point = outcome?.ok === true ? outcome.point : "";
  if (plan.kind === "backup") {
    return { json: { point, job, route: plan.route }, text: `Recovery point ${point}` };
  }
  const volumes = plan.volumes.map(({ name }) => ({ name, volumeId: made.volumes?.[name] ?? "" }));
  const lines = volumes.map(({ name, volumeId }) => `  ${name}: ${volumeId}`);
  return {
    json: { point, job, route: plan.route, volumes },
    text: [`Restored recovery point ${point} to`, ...lines].join("\n"),
  };
}
