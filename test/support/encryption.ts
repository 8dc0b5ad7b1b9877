import { randomBytes, randomUUID } from "node:crypto";
import { KEY_BYTES, type RepositoryKey, takeKey } from "../../repository/encryption/repository-key.js";
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

/** The key of a repository that exists nowhere. */
export function newKey(): RepositoryKey {
  return { repository: randomUUID(), dataKey: takeKey(randomBytes(KEY_BYTES)) };
}
