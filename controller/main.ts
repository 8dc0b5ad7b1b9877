#!/usr/bin/env node
/** Without a listener Node opens its inspector on SIGUSR1, on a port that exposes every key in memory. */
process.on("SIGUSR1", () => undefined);
const { runCli } = await import("./cli.js");
await runCli(process.argv.slice(2));
