import { type KeyObject, randomBytes, scrypt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import * as z from "zod/mini";
import { askSecret } from "../../foundation/ask-secret.js";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { KEY_BYTES, takeKey } from "./repository-key.js";

/** Where a passphrase is to be had. It is never an argument: those of a process are open to all users of a machine. */
export type PassphraseSource =
  | { kind: "file"; path: string }
  | { kind: "environment"; variable: string }
  | { kind: "prompt" };

const MIN_NEW_LENGTH = 8;

/** @param purpose for the prompt: "Passphrase of s3://backups/fleet" @throws PassphraseUnavailable */
export async function readPassphrase(source: PassphraseSource, purpose: string): Promise<string> {
  switch (source.kind) {
    case "environment":
      return process.env[source.variable] ?? "";
    case "prompt":
      return askSecret(`${purpose}: `);
    case "file":
      return readPassphraseFile(source.path);
  }
}

/** One that somebody has just thought up: asked for twice at a prompt, and refused when it is short. @throws PassphraseUnavailable */
export async function readNewPassphrase(source: PassphraseSource, purpose: string): Promise<string> {
  const passphrase = await readPassphrase(source, purpose);
  if (passphrase.length < MIN_NEW_LENGTH) {
    throw unavailable(
      `A new passphrase must have at least ${MIN_NEW_LENGTH} characters; this one has ${passphrase.length}.`,
      "Take several random words. Whoever copies the repository may try as many passphrases as they like.",
    );
  }
  if (source.kind !== "prompt") return passphrase;
  if ((await askSecret(`${purpose}, again: `)) === passphrase) return passphrase;
  throw unavailable("The two passphrases differ.", "Run the command again.");
}

/** Anything else would be read as other characters than those that are typed at a prompt. It drops a byte order mark. */
const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** The file's content in UTF-8, without the newline that editors put at its end. */
async function readPassphraseFile(path: string): Promise<string> {
  try {
    return UTF8.decode(await readFile(path)).replace(/\r?\n$/, "");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw unavailable(
      `The passphrase file cannot be read: ${reason}.`,
      "Check the path and its permissions.",
      error,
    );
  }
}

/**
 * What scrypt takes (RFC 7914): 128 × N × r bytes of memory, here 128 MiB and some 0.4 s for each guess. OWASP's "Password Storage Cheat
 * Sheet" recommends these parameters.
 */
const COST = { N: 2 ** 17, r: 8, p: 1 };
const SALT_BYTES = 32;

/** Of N × r × p, twice what is written: 256 MiB and some 0.8 s. Whoever may write a key could ask every reader for more. */
const MAX_COST = 2 * COST.N * COST.r * COST.p;

export const ScryptSchema = z
  .strictObject({
    kind: z.literal("passphrase"),
    /** Base64. */
    salt: z.string(),
    N: z.int().check(
      z.minimum(2),
      z.refine((N) => Number.isInteger(Math.log2(N)), "N is no power of two"),
    ),
    r: z.int().check(z.positive()),
    p: z.int().check(z.positive()),
  })
  .check(z.refine(({ N, r, p }) => N * r * p <= MAX_COST, "it asks for too much work"));

export type ScryptParameters = z.infer<typeof ScryptSchema>;

/** @param N tests lower it */
export function newScryptParameters(N = COST.N): ScryptParameters {
  return { kind: "passphrase", salt: randomBytes(SALT_BYTES).toString("base64"), ...COST, N };
}

/** OpenSSL counts a little more than the algorithm's own blocks. */
const SPARE_BYTES = 2 ** 20;

const scryptAsync = promisify<string, Buffer, number, object, Buffer>(scrypt);

/** The key that a passphrase stands for. The same characters may be typed in several ways: they are brought to one (Unicode NFC). */
export async function stretch(passphrase: string, { salt, N, r, p }: ScryptParameters): Promise<KeyObject> {
  const maxmem = 128 * r * (N + p) + SPARE_BYTES;
  const options = { N, r, p, maxmem };
  return takeKey(
    await scryptAsync(passphrase.normalize("NFC"), Buffer.from(salt, "base64"), KEY_BYTES, options),
  );
}

function unavailable(message: string, remedy: string, cause?: unknown): BlockferryError {
  return new BlockferryError({ code: "PassphraseUnavailable", message, remedy }, cause);
}
