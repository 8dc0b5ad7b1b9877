import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { BlockferryError } from "../foundation/blockferry-error.js";

const HEAD = '{"sha256":"';
const MIDDLE = '","body":';
const TAIL = "}\n";
const BODY_START = HEAD.length + 64 + MIDDLE.length;

/**
 * A JSON document that carries the SHA-256 of its own body, so that a flipped bit in a tag or a size is noticed:
 * `{"sha256":"<64 hex>","body":<JSON>}` and a newline, with no other white space outside the body.
 */
export function sealJson(body: unknown): Buffer {
  const text = JSON.stringify(body);
  return Buffer.from(HEAD + sha256Hex(text) + MIDDLE + text + TAIL, "utf8");
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
  const text = bytes.toString("utf8");
  const body = text.slice(BODY_START, -TAIL.length);
  const intact = Buffer.from(HEAD + sha256Hex(body) + MIDDLE + body + TAIL, "utf8").equals(bytes);
  if (!intact) throw brokenSeal(key, bytes.length);
  return body;
}

/** @param key names the object in errors @throws RepositoryUnsupported when the body is not what `schema` allows */
export function parseBody<T>(body: string, schema: z.ZodMiniType<T>, key: string): T {
  const parsed = schema.safeParse(parseJson(body, key));
  if (!parsed.success) throw unsupported(key, z.prettifyError(parsed.error));
  return parsed.data;
}

/** A seal can be right over what nobody has written. */
function parseJson(body: string, key: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw unsupported(key, "it is no JSON document.");
  }
}

function sha256Hex(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
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
