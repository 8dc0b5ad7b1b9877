import type { FuzzTarget } from "./target.js";

/**
 * Returns targets with one fault of each kind. A fuzzer must find a change of the input to reach the fault.
 */
export function plantedTargets(): FuzzTarget[] {
  const seeds = [Buffer.from("BFRYPACK\x01\0\0\0\x04\0\0\0", "latin1")];
  const kept: Buffer[] = [];
  const planted = (name: string, fault: () => void): FuzzTarget => ({
    name,
    seeds,
    run: (input) => {
      if (input.length < 16) return;
      // A coverage-guided fuzzer passes these checks one after the other.
      if (input[0] !== 0x42) return;
      if (input.readUInt32LE(8) === 1) return;
      if (input.readUInt32LE(12) > 2 ** 30) fault();
    },
  });
  return [
    planted("an error without a code", () => {
      throw new RangeError("planted");
    }),
    planted("a hang", () => {
      for (;;);
    }),
    planted("memory for a declared length", () => {
      kept.push(Buffer.alloc(600 * 2 ** 20, 1));
    }),
    planted("a crash", () => process.abort()),
    planted("an error that nobody awaits", () => {
      void Promise.reject(new Error("planted"));
    }),
    planted("nothing", () => undefined),
  ];
}
