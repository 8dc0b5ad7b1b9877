#!/usr/bin/env node
/**
 * Starts the agent. This file is CommonJS for one reason: libuv sizes its thread pool at the first asynchronous call,
 * and loading an ES module is one. Every read in flight needs a thread of that pool.
 */
const { availableParallelism } = require("node:os") as typeof import("node:os");

const POOL_THREADS_PER_CORE = 32;
const MIN_POOL_THREADS = 128;
/** libuv takes no more (MAX_THREADPOOL_SIZE in src/threadpool.c). */
const MAX_POOL_THREADS = 1024;

process.env.UV_THREADPOOL_SIZE ??= String(
  Math.min(MAX_POOL_THREADS, Math.max(MIN_POOL_THREADS, availableParallelism() * POOL_THREADS_PER_CORE)),
);
/** Node 20 is supported; the SDK would say in every thread that some day it will not be. */
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
void import("./cli.js").then(({ runCli }) => runCli(process.argv.slice(2)));
