import type { BlockferryError, ErrorRecord } from "../../foundation/blockferry-error.js";
import type { VerifyReport } from "./verify.js";
import { causeKey, type DamagedRange } from "./walk-points.js";

type VolumeRange = Pick<DamagedRange, "point" | "volume" | "offset" | "length">;

/** A problem, and the bytes of recovery points that cannot be restored because of it. */
interface ProblemRecord extends ErrorRecord {
  affects: VolumeRange[];
}

/** Returns the problems of a report as plain data. */
export function problemRecords({ problems, damaged }: VerifyReport): ProblemRecord[] {
  const byCause = new Map<string, VolumeRange[]>();
  for (const range of damaged) {
    const { point, volume, offset, length } = range;
    const ranges = byCause.get(causeKey(range)) ?? [];
    byCause.set(causeKey(range), ranges);
    ranges.push({ point, volume, offset, length });
  }
  return problems.map((problem) => ({
    ...problem.toRecord(),
    affects: byCause.get(keyOf(problem)) ?? [],
  }));
}

/** Returns the cause key: object and place for a damaged chunk, otherwise the object alone. */
function keyOf({ code, object = "", offset }: BlockferryError): string {
  return causeKey(code === "ChunkCorrupt" ? { object, objectOffset: offset } : { object });
}
