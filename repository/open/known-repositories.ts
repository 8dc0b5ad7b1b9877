import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open, readdir, realpath, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import * as z from "zod/mini";
import { BlockferryError, systemErrorCode, systemErrorMessage } from "../../foundation/errors.js";
import { atPlace, makeFolders, PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE } from "../../foundation/held-place.js";
import { shellWord } from "../../foundation/shell.js";
import { replaceFile } from "../../foundation/write-file.js";
import type { S3Location } from "../storage/s3/s3-location.js";
import type { StorageLocation } from "../storage/storage.js";
import { describeRepository, type Expectation, expectationOf, type Identity } from "./expectation.js";

const KnownSchema = z.strictObject({
  version: z.literal(1),
  location: z.string(),
  repository: z.uuid(),
  encryption: z.string().check(z.regex(/^(none|[0-9a-f]{64})$/)),
  firstSeen: z.iso.datetime(),
});

/** A repository that this machine has opened before, and its identity at that time. */
type KnownRepository = z.infer<typeof KnownSchema>;

const NAME = /^[0-9a-f]{64}\.json$/;
const MAX_BYTES = 64 * 1024;

/**
 * Trust on first use: the identity of the repository at each location at the time of its first use. The
 * records are files in a folder of this machine, one for each location,
 * since no repository can vouch for itself.
 */
export class KnownRepositories {
  constructor(private readonly folder: string) {}

  /**
   * Compares a repository with this machine's records of its location and of its id.
   * @param location from `canonicalLocation`
   * @throws RepositoryChanged
   */
  async refuseChanged(location: string, config: Identity): Promise<void> {
    const found = expectationOf(config);
    const known = await this.read(location);
    if (known !== undefined) {
      if (isSame(known, found)) return;
      throw changed(location, known, found);
    }
    const copies = (await this.list()).filter(({ repository }) => repository === found.repository);
    const other = copies.find((copy) => !isSame(copy, found));
    if (other !== undefined) throw changed(location, other, found);
  }

  /**
   * Records the identity of a repository and replaces the location's earlier record. Never throws.
   * @returns the reason of a failure
   */
  async remember(location: string, config: Identity): Promise<string | undefined> {
    const found = expectationOf(config);
    try {
      const known = await this.read(location).catch(() => undefined);
      if (known !== undefined && isSame(known, found)) return undefined;
      await this.write({ version: 1, location, ...found, firstSeen: new Date().toISOString() });
      return undefined;
    } catch (error) {
      return systemErrorMessage(error);
    }
  }

  /** Removes the record of a location. @returns whether there was one */
  async forget(location: string): Promise<boolean> {
    try {
      await rm(this.pathOf(location));
      return true;
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return false;
      throw error;
    }
  }

  /** Returns all records, ordered by location. */
  async list(): Promise<KnownRepository[]> {
    const names = await readdir(this.folder).catch(() => []);
    const known = await Promise.all(
      names.filter((name) => NAME.test(name)).map((name) => readKnown(join(this.folder, name))),
    );
    return known.filter((record) => record !== undefined).sort((a, b) => (a.location < b.location ? -1 : 1));
  }

  private async read(location: string): Promise<KnownRepository | undefined> {
    const path = this.pathOf(location);
    const known = await readKnown(path);
    if (known === undefined || known.location === location) return known;
    throw damaged(path, `it is about ${known.location}`);
  }

  private async write(known: KnownRepository): Promise<void> {
    await makeFolders(this.folder, PRIVATE_FOLDER_MODE);
    await atPlace(this.pathOf(known.location), async (place) => {
      await replaceFile(place, `${JSON.stringify(known)}\n`, PRIVATE_FILE_MODE);
      await place.sync();
    });
  }

  private pathOf(location: string): string {
    return join(this.folder, `${createHash("sha256").update(location).digest("hex")}.json`);
  }
}

/**
 * Reads a record.
 * @returns undefined without a record, or when this user may not read it
 * @throws RepositoryChanged for a damaged record
 */
async function readKnown(path: string): Promise<KnownRepository | undefined> {
  let text: string;
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_BYTES), 0, MAX_BYTES, 0);
      text = buffer.toString("utf8", 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].includes(systemErrorCode(error) ?? "")) return undefined;
    throw damaged(path, systemErrorMessage(error));
  }
  const parsed = KnownSchema.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  throw damaged(path, "it does not have the form of such a record");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isSame(known: Expectation, found: Expectation): boolean {
  return known.repository === found.repository && known.encryption === found.encryption;
}

function changed(location: string, known: KnownRepository, found: Expectation): BlockferryError {
  const at = known.location === location ? "there" : `at ${known.location}`;
  return new BlockferryError({
    code: "RepositoryChanged",
    message: `The repository at ${location} has changed: ${at} this machine has known ${describeRepository(known)} since ${known.firstSeen}, but now config.json says ${describeRepository(found)}.`,
    remedy: `Find out who replaced it: the next backup would go to someone else, or be readable by them. Nothing else was read, and nothing was stored. If you replaced it yourself, forget the old one: blockferry-agent trust reset --repo ${repoOf(known.location)}`,
    object: "config.json",
  });
}

function damaged(path: string, reason: string): BlockferryError {
  return new BlockferryError({
    code: "RepositoryChanged",
    message: `This machine's record of a repository cannot be read: ${path}: ${reason}.`,
    remedy:
      "Compare the repository with the pin that `blockferry-agent key list` prints, then remove that file.",
    object: path,
  });
}

/**
 * Formats a location for `--repo`; the endpoint is a separate option. A location does not include the scheme
 * of the endpoint, which does not matter here.
 */
function repoOf(location: string): string {
  const [, endpoint = "", rest = ""] = /^s3:\/\/([^/]*)\/(.*?)\/?$/.exec(location) ?? [];
  if (!location.startsWith("s3://")) return shellWord(location);
  const repo = shellWord(`s3://${rest}`);
  return endpoint === "" ? repo : `${repo} --endpoint-url ${shellWord(`https://${endpoint}`)}`;
}

/**
 * Returns the same string for all spellings of one location: the real path of a directory, or
 * `s3://ENDPOINT/BUCKET/PREFIX`, where the endpoint is empty for AWS. An endpoint from a profile is not
 * looked up.
 */
export async function canonicalLocation(location: StorageLocation): Promise<string> {
  if (location.kind === "directory") return realPath(location.path);
  return `s3://${endpointOf(location)}/${location.bucket}/${location.prefix}`;
}

/** Follows symbolic links. Two real paths that are not UTF-8 could become one text, so the given path stays. */
async function realPath(path: string): Promise<string> {
  const real = await realpath(path, "buffer").catch(() => undefined);
  return real !== undefined && isUtf8(real) ? real.toString() : path;
}

/**
 * Returns the endpoint URL, in the order of precedence of AWS: "Service-specific endpoints in the AWS SDKs".
 */
function endpointOf({ endpointUrl }: S3Location): string {
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS } = process.env;
  const configured =
    AWS_IGNORE_CONFIGURED_ENDPOINT_URLS === "true" ? undefined : AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL;
  const url = endpointUrl ?? configured;
  if (url === undefined || !URL.canParse(url)) return "";
  const { host, pathname } = new URL(url);
  return host + pathname.replace(/\/+$/, "");
}

/**
 * Returns the folder for this machine's records about repositories: BLOCKFERRY_STATE_DIR, or `blockferry` in
 * the user's state folder. (XDG Base Directory Specification: a relative XDG_STATE_HOME is ignored)
 */
export function stateFolder(): string {
  const { BLOCKFERRY_STATE_DIR, XDG_STATE_HOME } = process.env;
  if (BLOCKFERRY_STATE_DIR) return resolve(BLOCKFERRY_STATE_DIR);
  const home =
    XDG_STATE_HOME && isAbsolute(XDG_STATE_HOME) ? XDG_STATE_HOME : join(homedir(), ".local/state");
  return join(home, "blockferry");
}
