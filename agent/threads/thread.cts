/**
 * The file Piscina starts in every thread.
 * It is CommonJS and imports the thread's real module because Piscina would `require` that module, and Node
 * aborts the whole process if a thread is ended while it links a required ES module
 * (`v8::Module::IsGraphAsync must be used on an instantiated module`). Ending a thread that imports is
 * harmless.
 */
const { workerData } = require("node:worker_threads") as typeof import("node:worker_threads");

/** A thread's module; see `ThreadPool`. */
interface ThreadModule {
  default(task: unknown): Promise<unknown>;
}

const { module: url } = workerData as import("./thread-pool.js").ThreadData;
const loading = import(url) as Promise<ThreadModule>;
/** The first task reports a module that cannot be loaded. */
loading.catch(() => undefined);

module.exports = async (task: unknown) => (await loading).default(task);
