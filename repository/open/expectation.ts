import { BlockferryError } from "../../foundation/errors.js";

/**
 * The repository that a client expects at a location. It is decided before any data there are read. The
 * repository cannot vouch for itself: with the right to write to a bucket, `config.json` and `keys/` can be
 * replaced by those of another repository.
 */
export interface Expectation {
  /** UUID of the repository. */
  repository: string;
  /**
   * The expected encryption: `any` (encrypted or not), `none`,
   * or the data key with this key check (64 hex digits).
   */
  encryption: "any" | "none" | (string & {});
}

/** The part of a config that a pin covers. */
export interface Identity {
  id: string;
  encryption: { mode: "none" } | { mode: "aes-256-gcm"; keyCheck: string };
}

const FORM = /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?::(none|[0-9a-f]{64}))?$/i;

/** The forms of `--expect-repository`, for help and errors. */
export const EXPECTATION_FORM = "UUID, UUID:none or UUID:KEYCHECK (64 hex digits)";

/** Parses a pin: `UUID`, `UUID:none` or `UUID:<64 hex digits>`. @returns undefined for any other form */
export function parseExpectation(text: string): Expectation | undefined {
  const [, repository, encryption = "any"] = FORM.exec(text) ?? [];
  if (repository === undefined) return undefined;
  return { repository: repository.toLowerCase(), encryption: encryption.toLowerCase() };
}

/** Returns the strictest pin for a repository with this config. `parseExpectation` parses it. */
export function pinOf(config: Identity): string {
  return formatExpectation(expectationOf(config));
}

/** Formats a pin, see `parseExpectation`. */
export function formatExpectation({ repository, encryption }: Expectation): string {
  return encryption === "any" ? repository : `${repository}:${encryption}`;
}

/** Returns the strictest expectation that a repository with this config meets. */
export function expectationOf({ id, encryption }: Identity): Expectation {
  return {
    repository: id.toLowerCase(),
    encryption: encryption.mode === "none" ? "none" : encryption.keyCheck,
  };
}

/** Returns whether a repository with this config is the expected one. */
export function meets(config: Identity, expected: Expectation): boolean {
  const actual = expectationOf(config);
  const isEncryptedSo = expected.encryption === "any" || expected.encryption === actual.encryption;
  return actual.repository === expected.repository && isEncryptedSo;
}

/** Refuses an unexpected repository. @param storage its name, for the message @throws RepositoryMismatch */
export function refuseUnexpected(storage: string, config: Identity, expected: readonly Expectation[]): void {
  const missed = expected.find((expectation) => !meets(config, expectation));
  if (missed === undefined) return;
  throw new BlockferryError({
    code: "RepositoryMismatch",
    message: `${storage} is not the expected repository: expected ${describeRepository(missed)}, but config.json says ${describeRepository(expectationOf(config))}.`,
    remedy:
      "Check --repo and --expect-repository (or BLOCKFERRY_EXPECT_REPOSITORY). If both are right, config.json was replaced: restore it from a replica or an earlier version in the bucket. Nothing else was read, and nothing was stored.",
    object: "config.json",
  });
}

/** Formats a repository for messages: id and encryption. */
export function describeRepository({ repository, encryption }: Expectation): string {
  if (encryption === "any") return repository;
  return encryption === "none"
    ? `${repository}, not encrypted`
    : `${repository}, encrypted with key check ${encryption}`;
}
