/** Limits for one input and for the fuzzer's process. None of them depends on the speed of the machine. */
export const LIMITS = {
  /** CPU time of the process for one input. Only a hang takes this long. */
  cpuSeconds: 10,
  /** Time without progress, also on a busy machine. */
  silentSeconds: 120,
  /** Peak resident memory of the process, including all targets and their samples. */
  residentBytes: 512 * 2 ** 20,
  /** Part of it that V8 may use for objects. */
  heapMebibytes: 128,
};
export type Limits = typeof LIMITS;
