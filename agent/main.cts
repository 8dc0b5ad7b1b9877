#!/usr/bin/env node
/**
 * Starts the agent.
 * This file is CommonJS because libuv sizes its thread pool at the first asynchronous call, and loading an ES
 * module is one. Every read in flight needs a thread of that pool.
 */
/**
 * Without a listener, Node opens its inspector on this signal, on a port that exposes every key in memory.
 */
process.on("SIGUSR1", () => undefined);

const { availableParallelism } = require("node:os") as typeof import("node:os");

const POOL_THREADS_PER_CORE = 32;
const MIN_POOL_THREADS = 128;
/** The most that libuv accepts (MAX_THREADPOOL_SIZE in src/threadpool.c). */
const MAX_POOL_THREADS = 1024;

process.env.UV_THREADPOOL_SIZE ??= String(
  Math.min(MAX_POOL_THREADS, Math.max(MIN_POOL_THREADS, availableParallelism() * POOL_THREADS_PER_CORE)),
);

/** Some modules ask for the working directory when they are loaded, and it may have been removed. */
let workingDirectory: "there" | "gone" = "there";
try {
  process.cwd();
} catch {
  workingDirectory = "gone";
  process.chdir("/");
}
void import("./cli.js").then(({ runCli }) => runCli(process.argv.slice(2), workingDirectory));
