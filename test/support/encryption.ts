import { randomBytes, randomUUID } from "node:crypto";
import { KEY_BYTES, type RepositoryKey, takeKey } from "../../repository/encryption/aes-gcm.js";
import {
  initRepository,
  inspectRepository,
  openRepository,
  type Repository,
} from "../../repository/open/repository.js";
import { parseStorageLocation } from "../../repository/storage/open-storage.js";

export const PASSPHRASE = "correct horse battery staple";
const VARIABLE = "BLOCKFERRY_PASSPHRASE";

/** Keeps tests fast: the default cost of scrypt takes 0.4 s for each command. */
const QUICK_SCRYPT_N = 2;

/** Makes an encrypted repository. Agents started afterwards get its passphrase from their environment. */
export async function initEncrypted(repo: string): Promise<void> {
  process.env[VARIABLE] = PASSPHRASE;
  const source = { kind: "environment", variable: VARIABLE } as const;
  await initRepository(parseStorageLocation(repo), { kind: "passphrase", source, scryptN: QUICK_SCRYPT_N });
}

/** Opens a repository, encrypted or not. */
export async function openWithPassphrase(repo: string): Promise<Repository> {
  const location = parseStorageLocation(repo);
  const { config } = await inspectRepository(location);
  if (config.encryption.mode === "none") return openRepository(location);
  return openRepository({ ...location, passphrase: { kind: "environment", variable: VARIABLE } });
}

/** Makes the key of a repository that does not exist. */
export function newKey(): RepositoryKey {
  return { repository: randomUUID(), dataKey: takeKey(randomBytes(KEY_BYTES)) };
}
