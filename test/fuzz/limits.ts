/** What one input may cost, and what the fuzzer's process may take in all: none of it depends on how fast a machine is. */
export const LIMITS = {
  /** Of the process, for one input: far more than any takes, for hangs alone. */
  cpuSeconds: 10,
  /** Without a sign of life, also on a machine that is busy with other things. */
  silentSeconds: 120,
  /** Resident memory of the process at its highest, all targets and their samples included. */
  residentBytes: 512 * 2 ** 20,
  /** Of that, what V8 may use for objects. */
  heapMebibytes: 256,
};
export type Limits = typeof LIMITS;
