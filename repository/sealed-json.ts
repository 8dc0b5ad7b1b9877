import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../foundation/blockferry-error.js";
import { maxJsonValues } from "./object-bounds.js";

const HEAD = '{"sha256":"';
const MIDDLE = '","body":';
const TAIL = Buffer.from("}\n", "latin1");
const BODY_START = HEAD.length + 64 + MIDDLE.length;

/**
 * A JSON document that carries the SHA-256 of its own body, so that a flipped bit in a tag or a size is noticed:
 * `{"sha256":"<64 hex>","body":<JSON>}` and a newline, with no other white space outside the body.
 */
export function sealJson(body: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(body), "utf8");
  return Buffer.concat([beforeBody(text), text, TAIL]);
}

/**
 * @param key names the object in errors
 * @throws ObjectCorrupt when the seal is broken, RepositoryUnsupported when the body is not what `schema` allows
 */
export function unsealJson<T>(bytes: Buffer, schema: z.ZodMiniType<T>, key: string): T {
  return parseBody(unsealText(bytes, key), schema, key);
}

/** The body as it stands there. @param key names the object in errors @throws ObjectCorrupt when the seal is broken */
export function unsealText(bytes: Buffer, key: string): string {
  const body = bytes.subarray(BODY_START, -TAIL.length);
  const isIntact =
    bytes.subarray(0, BODY_START).equals(beforeBody(body)) &&
    bytes.subarray(BODY_START + body.length).equals(TAIL) &&
    isUtf8(body);
  if (!isIntact) throw brokenSeal(key, bytes.length);
  return body.toString("utf8");
}

/** @param key names the object in errors @throws RepositoryUnsupported when the body is not what `schema` allows */
export function parseBody<T>(body: string, schema: z.ZodMiniType<T>, key: string): T {
  const value = parseJson(body, key);
  const parsed = safeParse(value, schema);
  if (parsed === undefined) throw unsupported(key, "it is wrong in too many places to be told.");
  if (!parsed.success) throw unsupported(key, firstIssues(parsed.error));
  return parsed.data;
}

/** @returns undefined when so much is wrong that zod cannot gather it: it passes what it found as arguments, for which the stack is too small */
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
 * A seal can be right over what nobody has written: what makes a document too large in memory is refused before it is taken in.
 * @param key names the object in errors
 * @throws RepositoryUnsupported when it is no JSON document, or holds more values than one of its key can
 */
export function parseJson(body: string, key: string): unknown {
  const maxValues = maxJsonValues(key);
  if (hasMoreValues(body, maxValues)) throw unsupported(key, `it holds more than ${maxValues} values.`);
  try {
    return JSON.parse(body);
  } catch {
    throw unsupported(key, "it is no JSON document.");
  }
}

const [COMMA, BRACKET, BRACE] = [0x2c, 0x5b, 0x7b];

/** Counts what stands before values, in text as well: too many rather than too few. */
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

/** As much of what is wrong as somebody reads: a document may be wrong in half a million places, or in a name as long as itself. */
function firstIssues(error: z.core.$ZodError): string {
  const told = error.issues.slice(0, ISSUES_TOLD).map((issue) => {
    const lines = z.prettifyError({ issues: [issue] });
    return lines.length > ISSUE_CHARACTERS ? `${lines.slice(0, ISSUE_CHARACTERS)}...` : lines;
  });
  const left = error.issues.length - told.length;
  return [...told, ...(left > 0 ? [`and ${left} more`] : [])].join("\n");
}

function beforeBody(body: Buffer): Buffer {
  const digest = createHash("sha256").update(body).digest("hex");
  return Buffer.from(HEAD + digest + MIDDLE, "latin1");
}

function brokenSeal(key: string, sizeBytes: number): BlockferryError {
  return new BlockferryError({
    code: "ObjectCorrupt",
    message: `${key} is damaged: bytes 0 to ${sizeBytes} do not match the checksum they carry.`,
    remedy: "Bring the object back from a replica or an earlier version in the bucket, if there is one.",
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
