#!/usr/bin/env node
/** Without a listener Node opens its inspector on SIGUSR1, on a port that exposes every key in memory. */
process.on("SIGUSR1", () => undefined);

/** Some modules ask for the working directory when they are loaded, and it may have been removed. */
let workingDirectory: "there" | "gone" = "there";
try {
  process.cwd();
} catch {
  workingDirectory = "gone";
  process.chdir("/");
}
const { runCli } = await import("./cli.js");
await runCli(process.argv.slice(2), workingDirectory);
