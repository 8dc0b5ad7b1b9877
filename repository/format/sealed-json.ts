import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import { damagedRemedy, maxJsonValues } from "./object-bounds.js";

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
