import type { ErrorCode } from "../../foundation/errors.js";
import { CHUNK_RECORD_BYTES } from "../../repository/format/chunk.js";

/** An input that once caused a bug: a change of a target's first seed, and the answer of today. */
interface Regression {
  target: string;
  what: string;
  change(input: Buffer): Buffer;
  code: ErrorCode;
}

const INDEX_HEADER_BYTES = 32;

export const REGRESSIONS: Regression[] = [
  ...["plain", "encrypted"].flatMap((kind): Regression[] => [
    {
      ...{ target: `pack footer, ${kind}`, code: "PackCorrupt" },
      what: "a chunk of 4 GiB, whose read aborted Node",
      change: (input) => withU32(input, 36, 0xffff_ffff),
    },
    {
      ...{ target: `pack footer, ${kind}`, code: "PackCorrupt" },
      what: "a chunk beyond the payloads",
      change: (input) => withU32(input, 32, 0x7fff_ffff),
    },
    {
      ...{ target: `index segment, ${kind}`, code: "ObjectCorrupt" },
      what: "more packs than it has bytes",
      change: (input) => withU32(input, 12, 0xffff_ffff),
    },
    {
      ...{ target: `index segment, ${kind}`, code: "ObjectCorrupt" },
      what: "an end within an entry",
      change: (input) => input.subarray(0, -1),
    },
    {
      ...{ target: `index segment, ${kind}`, code: "ObjectCorrupt" },
      what: "a chunk in a pack that it does not list",
      change: (input) => withU32(input, input.length - 4, 1000),
    },
    {
      ...{ target: `index segment, ${kind}`, code: "ObjectCorrupt" },
      what: "a chunk that is larger than its pack",
      change: (input) => withU32(input, input.length - 4 - CHUNK_RECORD_BYTES + 32, 0xffff_ff00),
    },
    {
      ...{ target: `index segment, ${kind}`, code: "RepositoryUnsupported" },
      what: "less than a header",
      change: (input) => input.subarray(0, INDEX_HEADER_BYTES - 1),
    },
    {
      ...{ target: `point, ${kind}`, code: "RepositoryUnsupported" },
      what: "a volume of 8 PiB",
      change: (input) => replaced(input, /"sizeBytes":\d+/g, `"sizeBytes":${Number.MAX_SAFE_INTEGER}`),
    },
  ]),
  {
    ...{ target: "key, encrypted", code: "RepositoryUnsupported" },
    what: "scrypt with 2 GiB, for minutes",
    change: (input) => replaced(input, /"N":2,"r":8,"p":1/, '"N":1048576,"r":16,"p":16'),
  },
];

function withU32(input: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(input);
  changed.writeUInt32LE(value, at);
  return changed;
}

function replaced(input: Buffer, what: RegExp, by: string): Buffer {
  const text = input.toString("utf8").replace(what, by);
  if (text === input.toString("utf8")) throw new Error(`${what} is not in ${text}`);
  return Buffer.from(text);
}
