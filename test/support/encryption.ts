import { initRepository, openRepository, type Repository } from "../../repository/repository.js";
import { parseStorageLocation } from "../../repository/storage/open-storage.js";

export const PASSPHRASE = "correct horse battery staple";
const VARIABLE = "BLOCKFERRY_PASSPHRASE";

/** Real passphrases are stretched for 0.4 s at every command. */
const QUICK_SCRYPT_N = 2;

/** Makes an encrypted repository. Agents that are started from now on have its passphrase in their environment. */
export async function initEncrypted(repo: string): Promise<void> {
  process.env[VARIABLE] = PASSPHRASE;
  const source = { kind: "environment", variable: VARIABLE } as const;
  await initRepository(parseStorageLocation(repo), { kind: "passphrase", source, scryptN: QUICK_SCRYPT_N });
}

/** Opens a repository, encrypted or not. */
export function openWithPassphrase(repo: string): Promise<Repository> {
  const passphrase = { kind: "environment", variable: VARIABLE } as const;
  return openRepository({ ...parseStorageLocation(repo), passphrase });
}
