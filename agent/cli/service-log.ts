import { printable } from "../../command-line/printable.js";
import type { LogFacts, ServiceLog } from "../serve/service-log.js";

/** A service's log: lines for people on standard error, or with `--json` a line of JSON each on standard output. */
export function serviceLog(json: boolean): ServiceLog {
  const write = (level: "info" | "warning", message: string, facts: LogFacts = {}) => {
    if (json) {
      const line = { time: new Date().toISOString(), level, message, ...facts };
      process.stdout.write(`${printable(JSON.stringify(line))}\n`);
    } else {
      process.stderr.write(`${printable(level === "info" ? message : `warning: ${message}`)}\n`);
    }
  };
  return {
    info: (message, facts) => write("info", message, facts),
    warn: (message, facts) => write("warning", message, facts),
  };
}
