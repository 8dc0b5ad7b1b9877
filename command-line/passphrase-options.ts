import type { PassphraseSource } from "../repository/encryption/passphrase.js";
import { text } from "./text-option.js";

/** There is no option for a passphrase itself: the arguments of a process are open to every user of the machine. */
export function passphraseFileOption<Name extends string>(name: Name, variable: string) {
  return text(
    "Encrypted repositories:",
    name,
    `File with the passphrase; else ${variable}, or a question on the terminal`,
  );
}

/** @returns undefined when there is no file, no variable, and nobody who could be asked */
export function passphraseSource(file: string | undefined, variable: string): PassphraseSource | undefined {
  if (file !== undefined) return { kind: "file", path: file };
  if (process.env[variable]) return { kind: "environment", variable };
  return process.stdin.isTTY && process.stderr.isTTY ? { kind: "prompt" } : undefined;
}
