import { formatBytes } from "../../command-line/format.js";
import type { PointLosses } from "../repair/point-losses.js";
import type { DocumentRepair } from "../repair/repair-documents.js";
import type { IndexRepair } from "../repair/repair-index.js";
import type { PackRepair } from "../repair/repair-packs.js";

export function describeIndex({ replaced, missing, damaged, ...repair }: IndexRepair): string[] {
  return [
    `The index lists ${repair.packs} packs with ${repair.chunks} chunks in ${repair.segments} new segments; ${repair.segmentsRemoved} old ones are removed.`,
    ...(repair.unlisted === 0 ? [] : [`  ${repair.unlisted} packs had not been listed.`]),
    ...replaced.map(({ message }) => `  replaced: ${message}`),
    ...missing.map((id) => `  missing: pack ${id} was listed and is gone.`),
    ...damaged.map(({ error, chunksKept, chunksLost }) => {
      const lost = chunksLost === null ? "an unknown number is lost" : `${chunksLost} are lost`;
      return `  DAMAGED: ${error.message} ${chunksKept} of its chunks can still be read, ${lost}.`;
    }),
    ...(missing.length + damaged.length === 0
      ? []
      : ["`blockferry-agent repair points` says what that means for recovery points."]),
  ];
}

export function describePacks(repairs: PackRepair[], isDryRun: boolean): string[] {
  return [
    ...(isDryRun ? ["Nothing was changed. A repair now:"] : []),
    ...repairs.map(
      ({ id, chunksKept, chunksLost }) =>
        `Pack ${id} is replaced by one with ${chunksKept} of its chunks; ${chunksLost ?? "an unknown number"} are lost.`,
    ),
    "`blockferry-agent repair points` says what that means for recovery points.",
  ];
}

export function describePoints({ whole, incomplete, unreadable }: PointLosses): string[] {
  return [
    ...incomplete.flatMap(({ id, volumes }) => [
      `Recovery point ${id} is INCOMPLETE:`,
      ...volumes.flatMap(({ name, sizeBytes, lostBytes, lost }) => [
        `  ${name}: ${formatBytes(lostBytes)} of ${formatBytes(sizeBytes)} are lost`,
        ...lost.map(({ offset, length }) => `    ${length} bytes at byte ${offset}`),
      ]),
    ]),
    ...unreadable.flatMap(({ message, remedy }) => [message, `    ${remedy}`]),
    `${whole.length} recovery points are whole.`,
    ...(incomplete.length === 0
      ? []
      : [
          "The next backup of a source that still has the lost data makes these points whole again; so does bringing the packs back from a replica.",
          "Until then `blockferry-agent restore --allow-missing` restores the rest of them.",
        ]),
  ];
}

export function describeDocuments({ moved, left }: DocumentRepair, isDryRun: boolean): string[] {
  const movesPoint = moved.some(({ from }) => from.startsWith("points/"));
  return [
    ...(isDryRun ? ["Nothing was changed. A repair now:"] : []),
    ...moved.flatMap(({ error, from, to }) => [`${from} is moved to ${to}.`, `  ${error.message}`]),
    ...left.flatMap(({ object, message, remedy }) => [
      `${object} is left where it is: its checksum is right, so it may be of a later version.`,
      `  ${message}`,
      `  ${remedy}`,
    ]),
    ...(movesPoint
      ? [
          "`prune` no longer waits for the moved points: after its grace period it removes the data that only they needed. If a replica or an earlier version of the bucket has them whole, bring them back before that.",
        ]
      : []),
    `${moved.length} documents moved, ${left.length} left.`,
  ];
}
