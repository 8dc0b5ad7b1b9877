import type { PassphraseSource } from "../repository/encryption/passphrase.js";
import { text } from "./text-option.js";

/**
 * Declares an option for a file with the passphrase. A passphrase itself is never an option: every user of
 * the machine can read the arguments of a process.
 */
export function passphraseFileOption<Name extends string>(name: Name, variable: string) {
  return text(
    "Encrypted repositories:",
    name,
    `File with the passphrase; else ${variable}, or a question on the terminal`,
  );
}

/**
 * Returns the source of the passphrase: the file, the variable or a prompt.
 * @returns undefined without a file, a variable and a terminal for the prompt
 */
export function passphraseSource(file: string | undefined, variable: string): PassphraseSource | undefined {
  if (file !== undefined) return { kind: "file", path: file };
  if (process.env[variable]) return { kind: "environment", variable };
  return process.stdin.isTTY && process.stderr.isTTY ? { kind: "prompt" } : undefined;
}
