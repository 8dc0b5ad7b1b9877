import type { SeededRandom } from "../support/random.js";
import { mutateBytes } from "./mutate-bytes.js";

const MAX_CHANGES = 3;
const DEPTH = 20_000;
/** A longer document may be too deep to be written again. */
const MAX_DOCUMENT_CHARACTERS = 30_000;
const LONG_BYTES = 100_000;
/** More validation issues than a call can take as arguments; each element causes one or two. */
const MANY = 130_000;

/** Values that no document should contain, and extreme numbers, dates, ids and names. */
const ODD: readonly (() => string)[] = [
  ...[0, -1, 1, 0.5, 1e21, -0, 2 ** 31, 2 ** 32, 2 ** 48, 2 ** 48 + 1, 2 ** 53 - 1, 2 ** 53].map(
    (n) => () => JSON.stringify(n),
  ),
  ...["1e999", "true", "null", "[]", "{}", '{"__proto__":{"a":1}}', '{"constructor":1,"toString":null}'].map(
    (text) => () => text,
  ),
  ...["", "/", "../../../etc/passwd", "\0", "\ud800", "0".repeat(64), "f".repeat(32), "__proto__", "%s"].map(
    (text) => () => JSON.stringify(text),
  ),
  ...["9999-12-31T23:59:59.999Z", "2026-02-30T00:00:00Z", "+275760-09-13T00:00:00.000Z", "/dev/sdb"].map(
    (text) => () => JSON.stringify(text),
  ),
  () => JSON.stringify("x".repeat(LONG_BYTES)),
  () => JSON.stringify(Array.from({ length: 1000 }, (_, n) => n)),
  () => JSON.stringify(Array.from({ length: MANY }, () => ({}))),
  () => JSON.stringify(Object.fromEntries(Array.from({ length: MANY }, (_, n) => [n, 0]))),
  () => "[".repeat(DEPTH) + "]".repeat(DEPTH),
  () => '{"a":'.repeat(DEPTH) + 0 + "}".repeat(DEPTH),
];

/**
 * Changes a JSON document. It replaces values by odd ones or by other values, and removes, adds or doubles
 * fields. One time in four it changes bytes instead, so that the result may not be JSON.
 */
export function mutateJson(input: Buffer, others: readonly Buffer[], random: SeededRandom): Buffer {
  const other = parse(random.pick(others));
  let text = input.toString("utf8");
  for (let left = 1 + random.below(MAX_CHANGES); left > 0; left--) {
    const document = parse(Buffer.from(text));
    if (document === undefined || random.below(4) === 0) {
      return mutateBytes(Buffer.from(text), others, random);
    }
    text = changeOne(document, other ?? document, random);
  }
  return Buffer.from(text);
}

type Json = { [key: string]: unknown };

/**
 * Inserts odd values as text, because JavaScript objects cannot represent numbers with too many digits or
 * duplicate names.
 */
function changeOne(document: unknown, other: unknown, random: SeededRandom): string {
  const MARK = "\u{10fff0}fuzz";
  const places = placesIn(document);
  if (places.length === 0) return random.pick(ODD)();
  const { parent, key } = random.pick(places);
  let odd = random.pick(ODD)();
  switch (random.below(6)) {
    case 0:
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else delete parent[key];
      break;
    case 1:
      parent[`${key}2`] = parent[key];
      break;
    case 2: {
      const from = random.pick(placesIn(other).concat(places));
      odd = JSON.stringify(from.parent[from.key]) ?? "null";
      parent[key] = MARK;
      break;
    }
    case 3:
      if (Array.isArray(parent[key])) parent[key] = [...parent[key], ...parent[key]];
      else parent[key] = [parent[key]];
      break;
    default:
      parent[key] = MARK;
  }
  return (JSON.stringify(document) ?? "null").replace(JSON.stringify(MARK), () => odd);
}

/** Returns the place of each value below the top, down to the depth of real documents. */
function placesIn(value: unknown, depth = 0): { parent: Json; key: string }[] {
  if (typeof value !== "object" || value === null || depth > 12) return [];
  return Object.entries(value).flatMap(([key, below]) => [
    { parent: value as Json, key },
    ...placesIn(below, depth + 1),
  ]);
}

function parse(bytes: Buffer): unknown {
  if (bytes.length > MAX_DOCUMENT_CHARACTERS) return undefined;
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}
