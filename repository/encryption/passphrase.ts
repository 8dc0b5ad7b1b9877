import { type KeyObject, randomBytes, scrypt } from "node:crypto";
import type { Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { promisify } from "node:util";
import * as z from "zod/mini";
import { BlockferryError, interrupted, systemErrorMessage } from "../../foundation/errors.js";
import { KEY_BYTES, takeKey } from "./aes-gcm.js";

/**
 * A source of a passphrase. It is never an argument:
 * all users of a machine can read the arguments of a process.
 */
export type PassphraseSource =
  | { kind: "file"; path: string }
  | { kind: "environment"; variable: string }
  | { kind: "prompt" };

/**
 * A passphrase that was given before the command started. A prompt asks only once the repository is found to
 * need one.
 */
type GivenPassphrase = Exclude<PassphraseSource, { kind: "prompt" }>;

/** Returns whether a passphrase was given: then the repository must be encrypted with it. */
export function isGiven(source: PassphraseSource): source is GivenPassphrase {
  return source.kind === "file" || (source.kind === "environment" && Boolean(process.env[source.variable]));
}

const MIN_NEW_LENGTH = 8;

/**
 * Reads a passphrase.
 * @param purpose for the prompt: "Passphrase of s3://backups/fleet"
 * @throws PassphraseUnavailable
 */
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

/**
 * Reads a new passphrase: asks for it twice at a prompt, and refuses a short one.
 * @throws PassphraseUnavailable
 */
export async function readNewPassphrase(source: PassphraseSource, purpose: string): Promise<string> {
  const passphrase = await readPassphrase(source, purpose);
  if (passphrase.length < MIN_NEW_LENGTH) {
    throw unavailable(
      `A new passphrase must have at least ${MIN_NEW_LENGTH} characters; this one has ${passphrase.length}.`,
      "Use several random words. Anyone who copies the repository can try as many passphrases as they like.",
    );
  }
  if (source.kind !== "prompt") return passphrase;
  if ((await askSecret(`${purpose}, again: `)) === passphrase) return passphrase;
  throw unavailable("The two passphrases differ.", "Run the command again.");
}

/**
 * Refuses other encodings: they would turn into other characters than those typed at a prompt. Drops a byte
 * order mark.
 */
const UTF8 = new TextDecoder("utf-8", { fatal: true });

const MAX_FILE_BYTES = 64 * 1024;

/**
 * Returns the file's content in UTF-8, without a final newline. Opens the file once and checks the open file.
 */
async function readPassphraseFile(path: string): Promise<string> {
  try {
    const file = await open(path);
    try {
      noteShared(path, await file.stat());
      return UTF8.decode(await readBounded(file)).replace(/\r?\n$/, "");
    } finally {
      await file.close();
    }
  } catch (error) {
    const reason = systemErrorMessage(error);
    throw unavailable(
      `The passphrase file cannot be read: ${reason}.`,
      "Check the path and its permissions.",
      error,
    );
  }
}

/** Reads to the end of a file or pipe. */
async function readBounded(file: FileHandle): Promise<Buffer> {
  const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
  }
  throw new Error(`it holds more than ${MAX_FILE_BYTES} bytes`);
}

/** Files that a note was printed for: a command may read a file more than once. */
const noted = new Set<string>();

/**
 * Prints a note for a file that exposes the passphrase: users other than its owner can read or write it, or
 * its owner is neither root nor the user of this process. A pipe, for example from `<(...)`, belongs to this
 * process alone.
 */
function noteShared(path: string, status: Stats): void {
  if (noted.has(path) || !status.isFile()) return;
  // systemd lets the user of a unit read its credentials by an ACL, whose mask shows as the mode of the
  // group.
  const credentials = process.env.CREDENTIALS_DIRECTORY;
  const isCredential = Boolean(credentials) && path.startsWith(`${credentials}/`);
  const permissions = status.mode & 0o777;
  const { uid } = status;
  let problem: string | undefined;
  if ((permissions & (isCredential ? 0o007 : 0o077)) !== 0) {
    problem = `can be read or written by others (mode ${permissions.toString(8).padStart(4, "0")}); chmod 600 makes it private`;
  } else if (uid !== 0 && uid !== process.geteuid?.()) {
    problem = `belongs to user ${uid}, who can read it; give it to root or to the user that runs blockferry`;
  }
  if (problem === undefined) return;
  noted.add(path);
  process.stderr.write(`note: the passphrase file ${path} ${problem}.\n`);
}

/**
 * Parameters of scrypt (RFC 7914): 128 × N × r bytes of memory, here 128 MiB, and about 0.4 s for each guess.
 * OWASP's "Password Storage Cheat Sheet" recommends these parameters.
 */
const COST = { N: 2 ** 17, r: 8, p: 1 };
const SALT_BYTES = 32;

/**
 * The limit of N × r × p, twice the value of new keys: 256 MiB and about 0.8 s. Anyone who can write a key
 * could demand more from every reader.
 */
const MAX_COST = 2 * COST.N * COST.r * COST.p;

export const ScryptSchema = z
  .strictObject({
    kind: z.literal("passphrase"),
    /** In base64. */
    salt: z.string(),
    N: z.int().check(
      z.minimum(2),
      z.refine((N) => Number.isInteger(Math.log2(N)), "N is not a power of two"),
    ),
    r: z.int().check(z.positive()),
    p: z.int().check(z.positive()),
  })
  .check(z.refine(({ N, r, p }) => N * r * p <= MAX_COST, "it requires too much work"));

export type ScryptParameters = z.infer<typeof ScryptSchema>;

/** Returns the parameters for a new key. @param N lower only in tests */
export function newScryptParameters(N = COST.N): ScryptParameters {
  return { kind: "passphrase", salt: randomBytes(SALT_BYTES).toString("base64"), ...COST, N };
}

/** OpenSSL counts slightly more memory than the algorithm's own blocks. */
const SPARE_BYTES = 2 ** 20;

const scryptAsync = promisify<string, Buffer, number, object, Buffer>(scrypt);

/**
 * Derives the wrapping key from a passphrase. The same characters can be typed in several ways, so they are
 * normalized first (Unicode NFC).
 */
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

/** Asks on the terminal without echoing the answer. @throws Interrupted after Ctrl-C or the end of input */
async function askSecret(question: string): Promise<string> {
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 });
  process.stderr.write(question);
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once("line", resolve);
      lines.once("SIGINT", () => reject(interrupted()));
      lines.once("close", () => reject(interrupted()));
    });
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
