import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { openRepository, type Repository } from "../../repository/open/repository.js";
import { FIXTURE_PASSPHRASE, FIXTURES } from "../fixtures/fixtures.js";

/**
 * Real repositories, from which inputs are made. Their ids never change, so a recorded input keeps its
 * meaning.
 */
export type SampleKind = "plain" | "encrypted";

/** A copy of a sample, whose files a target may replace. */
export interface Sample extends Repository {
  /** Writes bytes under a key without any check, as an attacker can. */
  replace(key: string, bytes: Uint8Array): Promise<void>;
  remove(key: string): Promise<void>;
}

/** Copies a sample into a new folder below `folder`. */
export async function copySample(folder: string, kind: SampleKind, name: string): Promise<Sample> {
  const path = join(folder, `${kind}-${name.replaceAll(/[^a-z0-9]+/g, "-")}`);
  await rm(path, { recursive: true, force: true });
  await cp(join(FIXTURES, kind === "plain" ? "format-1" : "format-2", "repository"), path, {
    recursive: true,
  });
  const replace = async (key: string, bytes: Uint8Array) => {
    await mkdir(dirname(join(path, key)), { recursive: true });
    await writeFile(join(path, key), bytes);
  };
  const remove = (key: string) => rm(join(path, key), { force: true });
  return { ...(await openCopy(kind, path)), replace, remove };
}

/**
 * Opens a copy. Each has its own passphrase file: many copies are opened at once, and a file that is being
 * rewritten is empty for a moment.
 */
async function openCopy(kind: SampleKind, path: string): Promise<Repository> {
  if (kind === "plain") return openRepository(path);
  const passphrase = `${path}.passphrase`;
  await writeFile(passphrase, FIXTURE_PASSPHRASE, { mode: 0o600 });
  return openRepository({ kind: "directory", path, passphrase: { kind: "file", path: passphrase } });
}
