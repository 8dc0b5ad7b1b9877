import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/**
 * Returns variables that remove the passphrase for a plain repository. `initEncrypted` sets the passphrase
 * for the whole test process, and the agent refuses a passphrase for a plain repository. Applies to
 * repositories in directories only.
 */
export function passphraseVariables(args: string[]): NodeJS.ProcessEnv {
  return {
    ...(isPlain(optionOf(args, "repo") ?? optionOf(args, "to")) ? { BLOCKFERRY_PASSPHRASE: "" } : {}),
    ...(isPlain(optionOf(args, "from")) ? { BLOCKFERRY_FROM_PASSPHRASE: "" } : {}),
  };
}

function optionOf(args: string[], option: string): string | undefined {
  const at = args.indexOf(`--${option}`);
  return at >= 0 ? args[at + 1] : args.find((arg) => arg.startsWith(`--${option}=`))?.split("=")[1];
}

/** Some tests make a config of terabytes. */
const MAX_CONFIG_BYTES = 1024 * 1024;

function isPlain(repo: string | undefined): boolean {
  if (repo === undefined) return false;
  const path = join(repo, "config.json");
  try {
    return statSync(path).size <= MAX_CONFIG_BYTES && /"mode":"none"/.test(readFileSync(path, "utf8"));
  } catch {
    return false;
  }
}
