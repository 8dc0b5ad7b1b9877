import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";

const HEAD = '{"sha256":"';
const MIDDLE = '","body":';
const TAIL = Buffer.from("}\n", "latin1");
const BODY_START = HEAD.length + 64 + MIDDLE.length;

/**
 * Returns a JSON document with the SHA-256 of its body. The hash reveals any flipped bit. The form is
 * `{"sha256":"<64 hex>","body":<JSON>}` and a newline, with no other white space outside the body.
 */
export function sealJson(body: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(body), "utf8");
  return Buffer.concat([beforeBody(text), text, TAIL]);
}

/**
 * Checks and parses a sealed document.
 * @param key names the object in errors
 * @throws ObjectCorrupt when the seal is broken, RepositoryUnsupported when the body does not match `schema`
 */
export function unsealJson<T>(bytes: Buffer, schema: z.ZodMiniType<T>, key: string): T {
  return parseBody(unsealText(bytes, key), schema, key);
}

/**
 * Returns the exact text of the body.
 * @param key names the object in errors
 * @throws ObjectCorrupt when the seal is broken
 */
export function unsealText(bytes: Buffer, key: string): string {
  const body = bytes.subarray(BODY_START, -TAIL.length);
  const isIntact =
    bytes.subarray(0, BODY_START).equals(beforeBody(body)) &&
    bytes.subarray(BODY_START + body.length).equals(TAIL) &&
    isUtf8(body);
  if (!isIntact) throw brokenSeal(key, bytes.length);
  return body.toString("utf8");
}

/** Returns the seal of a document that has been checked: the SHA-256 of its body, in hex. */
export function sealOf(bytes: Buffer): string {
  return bytes.toString("latin1", HEAD.length, HEAD.length + 64);
}

/**
 * Parses the text of a body.
 * @param key names the object in errors
 * @throws RepositoryUnsupported when the body does not match `schema`
 */
export function parseBody<T>(body: string, schema: z.ZodMiniType<T>, key: string): T {
  return parseValue(parseJson(body, key), schema, key);
}

/**
 * Checks a parsed body.
 * @param key names the object in errors
 * @throws RepositoryUnsupported when the value does not match `schema`
 */
export function parseValue<T>(value: unknown, schema: z.ZodMiniType<T>, key: string): T {
  const parsed = safeParse(value, schema);
  if (parsed === undefined) throw unsupported(key, "it has too many errors to list.");
  if (!parsed.success) throw unsupported(key, firstIssues(parsed.error));
  return parsed.data;
}

/**
 * Checks a value.
 * @returns undefined with too many issues: zod passes them as arguments, and the stack overflows
 */
function safeParse<T>(
  value: unknown,
  schema: z.ZodMiniType<T>,
): ReturnType<z.ZodMiniType<T>["safeParse"]> | undefined {
  try {
    return schema.safeParse(value);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/**
 * Parses the JSON of a body. A forged document can have a correct seal, so a document that would take too
 * much memory is refused before parsing.
 * @param key names the object in errors
 * @throws RepositoryUnsupported when it is not JSON, or has more values than a document of this key may have
 */
export function parseJson(body: string, key: string): unknown {
  const maxValues = maxJsonValues(key);
  if (hasMoreValues(body, maxValues)) throw unsupported(key, `it holds more than ${maxValues} values.`);
  try {
    return JSON.parse(body);
  } catch {
    throw unsupported(key, "it is not a JSON document.");
  }
}

const [COMMA, BRACKET, BRACE] = [0x2c, 0x5b, 0x7b];

/** Counts the characters before values, also inside strings: the count may be too high, but never too low. */
function hasMoreValues(body: string, maxValues: number): boolean {
  if (body.length <= maxValues) return false;
  let values = 0;
  for (let at = 0; at < body.length && values <= maxValues; at++) {
    const unit = body.charCodeAt(at);
    if (unit === COMMA || unit === BRACKET || unit === BRACE) values++;
  }
  return values > maxValues;
}

const ISSUES_TOLD = 5;
const ISSUE_CHARACTERS = 200;

/**
 * Describes only the first issues: a document may have half a million,
 * or one with a name as long as the document.
 */
function firstIssues(error: z.core.$ZodError): string {
  const lines = error.issues.slice(0, ISSUES_TOLD).map((issue) => {
    const line = z.prettifyError({ issues: [issue] }).replaceAll(/\s*\n\s*/g, " ");
    return line.length > ISSUE_CHARACTERS ? `${line.slice(0, ISSUE_CHARACTERS)}...` : line;
  });
  const left = error.issues.length - lines.length;
  return [...lines, ...(left > 0 ? [`and ${left} more`] : [])].join("; ");
}

function beforeBody(body: Buffer): Buffer {
  const digest = createHash("sha256").update(body).digest("hex");
  return Buffer.from(HEAD + digest + MIDDLE, "latin1");
}

function brokenSeal(key: string, sizeBytes: number): BlockferryError {
  return new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} is damaged: bytes 0 to ${sizeBytes} do not match their checksum.`,
    remedy: damagedRemedy(key),
    object: key,
    offset: 0,
  });
}

function unsupported(key: string, detail: string): BlockferryError {
  return new BlockferryError({
    code: "RepositoryUnsupported",
    message: `${key} is intact, but this version of blockferry cannot use it: ${detail}`,
    remedy: "Use the version of blockferry that wrote it, or a newer one.",
    object: key,
  });
}

/**
 * Upper bounds for objects: a reader of a whole object allocates memory for it before anything
 * in it is proven.
 */
interface ObjectBounds {
  /** Size of the stored object. */
  maxBytes: number;
  /**
   * Values of a JSON document, counted by the characters before values: `{`, `[` and `,`. In memory a value
   * takes far more than its text.
   */
  maxValues: number;
}

const MIB = 2 ** 20;

/** The most packs that prune lists at once: 320 TiB, enough for an unneeded volume of 256 TiB. */
const MAX_LISTED_PACKS = 5 * 2 ** 20;

/** Bounds by key; the first match counts. docs/format.md lists the most that is written. */
const BOUNDS: readonly { keys: RegExp; bounds: ObjectBounds }[] = [
  // Packs are read in ranges, whose lengths are checked before.
  { keys: /^(index|packs)\//, bounds: { maxBytes: 128 * MIB, maxValues: 0 } },
  { keys: /^points\//, bounds: { maxBytes: 16 * MIB, maxValues: 2 ** 19 } },
  { keys: /^jobs\/[^/]+\/(job|journal[^/]*)\.json$/, bounds: { maxBytes: 16 * MIB, maxValues: 2 ** 19 } },
  // 128 volumes in 1,024 cells of five numbers each, and 128 volumes and 256 tags with the longest names.
  { keys: /^jobs\/[^/]+\/figures\.json$/, bounds: { maxBytes: 8 * MIB, maxValues: 2 ** 20 } },
  { keys: /^prune\/[0-9a-f]{16}\.json$/, bounds: { maxBytes: 176 * MIB, maxValues: MAX_LISTED_PACKS } },
  { keys: /^prune\/noticed\.json$/, bounds: { maxBytes: 312 * MIB, maxValues: MAX_LISTED_PACKS } },
  { keys: /^/, bounds: { maxBytes: MIB, maxValues: 2 ** 19 } },
];

/** Returns the most bytes of an object with this key: a larger object is not from blockferry. */
export function maxObjectBytes(key: string): number {
  return boundsOf(key).maxBytes;
}

/** Returns the most values in a JSON document with this key. */
export function maxJsonValues(key: string): number {
  return boundsOf(key).maxValues;
}

function boundsOf(key: string): ObjectBounds {
  return (BOUNDS.find(({ keys }) => keys.test(key)) as { bounds: ObjectBounds }).bounds;
}

/** Remedies for a damaged object, by its key. */
const REMEDIES: readonly { keys: RegExp; remedy: string }[] = [
  {
    keys: /^index\//,
    remedy:
      "Nothing is lost: every pack lists its own chunks. Run `blockferry-agent repair index`, which replaces it.",
  },
  {
    keys: /^(locks|prune)\//,
    remedy:
      "No recovery point needs it. Run `blockferry-agent repair documents`, which moves it aside; until then `prune` keeps everything that it could protect.",
  },
  {
    keys: /^points\//,
    remedy:
      "Restore it from a replica or an earlier version in the bucket. If there is none, `blockferry-agent repair documents` moves it aside; until then `prune` removes nothing.",
  },
  {
    keys: /^keys\//,
    remedy:
      "Restore it from a replica or an earlier version in the bucket, or use another key and remove this one: blockferry-agent key remove",
  },
  {
    keys: /^/,
    remedy: "Restore the object from a replica or an earlier version in the bucket, if there is one.",
  },
];

export function damagedRemedy(key: string): string {
  return (REMEDIES.find(({ keys }) => keys.test(key)) as { remedy: string }).remedy;
}
