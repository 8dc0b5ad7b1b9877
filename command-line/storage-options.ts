import type { BlockferryError } from "../foundation/errors.js";
import { EXPECTATION_FORM, type Expectation, parseExpectation } from "../repository/open/expectation.js";
import { stateFolder } from "../repository/open/known-repositories.js";
import { parseStorageLocation } from "../repository/storage/open-storage.js";
import { STORAGE_CLASSES, type StorageClass } from "../repository/storage/s3/s3-location.js";
import { newWeakDurability, type StorageLocation } from "../repository/storage/storage.js";
import { type StorageChoices, withChoices } from "../repository/storage/storage-choices.js";
import { once, parseByteSize, passphraseFileOption, passphraseSource, text, usage } from "./options.js";

/** The options about the repository that every command takes. */
export interface StorageArguments {
  repo: string;
  region: string | undefined;
  endpointUrl: string | undefined;
  profile: string | undefined;
  forcePathStyle: boolean | undefined;
  bucketOwner: string | undefined;
  allowInsecureHttp: boolean | undefined;
  storageClass: StorageClass | undefined;
  sse: "AES256" | "aws:kms" | undefined;
  sseKmsKey: string | undefined;
  bandwidthLimit: string | undefined;
  requestTimeout: number | undefined;
  passphraseFile: string | undefined;
  expectRepository: string | undefined;
  weakDurability: boolean | undefined;
}

const REPO_FROM_ENVIRONMENT = process.env.BLOCKFERRY_REPO || undefined;
const INSECURE_HTTP_VARIABLE = "BLOCKFERRY_ALLOW_INSECURE_HTTP";
const GROUP = "S3 repositories:";

export const storageOptions = {
  repo: {
    type: "string",
    demandOption: REPO_FROM_ENVIRONMENT === undefined,
    default: REPO_FROM_ENVIRONMENT,
    requiresArg: true,
    coerce: once("repo"),
    describe: "Repository: s3://BUCKET/PREFIX or a local directory",
  },
  region: text(GROUP, "region", "Region of the bucket"),
  "endpoint-url": text(GROUP, "endpoint-url", "URL of a server other than AWS"),
  profile: text(GROUP, "profile", "Profile of the AWS configuration files"),
  "force-path-style": {
    type: "boolean",
    group: GROUP,
    describe: "Put the bucket into the path, not the host name; most servers other than AWS need it",
  },
  "bucket-owner": text(
    GROUP,
    "bucket-owner",
    "Account that the bucket belongs to; S3 refuses every request where it is another's",
  ),
  "allow-insecure-http": {
    type: "boolean",
    group: GROUP,
    describe: `Allow endpoints over http on other machines; else ${INSECURE_HTTP_VARIABLE}=1`,
  },
  "storage-class": {
    choices: STORAGE_CLASSES,
    group: GROUP,
    coerce: once("storage-class"),
    describe: "Storage class of new packs",
  },
  sse: {
    choices: ["AES256", "aws:kms"],
    group: GROUP,
    coerce: once("sse"),
    describe: "How the server encrypts new objects",
  },
  "sse-kms-key": text(GROUP, "sse-kms-key", "ARN of the key for --sse aws:kms"),
  "bandwidth-limit": text(
    GROUP,
    "bandwidth-limit",
    "Bytes per second that all threads together send and receive; K, M, G for KiB, MiB, GiB",
  ),
  "request-timeout": {
    type: "number",
    group: GROUP,
    requiresArg: true,
    coerce: once("request-timeout"),
    describe: "Seconds without a byte after which a request is tried again  [default: 30]",
  },
  "weak-durability": {
    type: "boolean",
    group: "Local repositories:",
    describe: "Accept a file system that cannot sync: after a power failure, the last objects may be lost",
  },
  "passphrase-file": passphraseFileOption("passphrase-file", "BLOCKFERRY_PASSPHRASE"),
  "expect-repository": expectOption("expect-repository", "BLOCKFERRY_EXPECT_REPOSITORY"),
} as const;

/** Returns the repository that the options name. @throws Usage */
export function storageLocation(args: StorageArguments): StorageLocation {
  const place = parseStorageLocation(args.repo, {
    region: args.region,
    endpointUrl: args.endpointUrl,
    profile: args.profile,
    addressing: args.forcePathStyle === true ? "path" : undefined,
    bucketOwner: args.bucketOwner,
    allowInsecureHttp: allowsInsecureHttp(args),
  });
  const choices = storageChoices(args);
  if (place.kind === "directory") refuseS3Options(args);
  else if (args.weakDurability === true) throw weakInS3(args.repo);
  const passphrase = passphraseSource(args.passphraseFile, "BLOCKFERRY_PASSPHRASE");
  const expect = parsePins("--expect-repository", args.expectRepository);
  const durability = args.weakDurability === true ? { weakDurability: newWeakDurability() } : {};
  return { ...withChoices(place, choices), ...durability, passphrase, expect, stateFolder: stateFolder() };
}

/** Returns whether the option or, without it, the environment allows plain http. */
export function allowsInsecureHttp(args: Pick<StorageArguments, "allowInsecureHttp">): boolean {
  return args.allowInsecureHttp ?? process.env[INSECURE_HTTP_VARIABLE] === "1";
}

/** Returns how the repository is to be written. The choices also apply to a worker. @throws Usage */
export function storageChoices(args: Omit<StorageArguments, "repo">): StorageChoices {
  const { storageClass } = args;
  const encryption = parseEncryption(args);
  const bytesPerSecond = parseBandwidthLimit(args.bandwidthLimit);
  const timeoutMs = parseTimeout(args.requestTimeout);
  return {
    ...(storageClass === undefined ? {} : { storageClass }),
    ...(encryption === undefined ? {} : { encryption }),
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function refuseS3Options(args: StorageArguments): void {
  const values = args as unknown as Record<string, unknown>;
  const given = Object.entries(storageOptions).find(
    ([name, option]) => "group" in option && option.group === GROUP && values[name] !== undefined,
  )?.[0];
  if (given === undefined) return;
  throw usage(
    `--${given} is for repositories in S3, but ${args.repo} is a local directory.`,
    "Leave it out, or give --repo s3://BUCKET/PREFIX",
  );
}

function weakInS3(repo: string): BlockferryError {
  return usage(
    `--weak-durability is for repositories in a local directory, but ${repo} is in S3.`,
    "Leave it out: S3 has stored an object when it confirms it.",
  );
}

function parseEncryption({
  sse,
  sseKmsKey,
}: Pick<StorageArguments, "sse" | "sseKmsKey">): StorageChoices["encryption"] {
  if (sseKmsKey !== undefined && sse !== "aws:kms") {
    throw usage("--sse-kms-key needs --sse aws:kms.", "Give both, or neither.");
  }
  if (sse === undefined) return undefined;
  return sseKmsKey === undefined ? { algorithm: sse } : { algorithm: sse, kmsKey: sseKmsKey };
}

const MIN_BANDWIDTH = 1024;
const MAX_BANDWIDTH = 2 ** 40;

function parseBandwidthLimit(limit: string | undefined): number | undefined {
  if (limit === undefined) return undefined;
  const bytesPerSecond = parseByteSize("bandwidth-limit", limit);
  if (bytesPerSecond < MIN_BANDWIDTH || bytesPerSecond > MAX_BANDWIDTH) {
    throw usage(
      `--bandwidth-limit ${limit} is not a number of bytes per second from ${MIN_BANDWIDTH} to ${MAX_BANDWIDTH}.`,
      "Write, say, --bandwidth-limit 50M for 50 MiB/s.",
    );
  }
  return bytesPerSecond;
}

function parseTimeout(seconds: number | undefined): number | undefined {
  if (seconds === undefined) return undefined;
  if (seconds >= 0.1 && seconds <= 3600) return Math.round(seconds * 1000);
  throw usage("--request-timeout must be from 0.1 to 3600 seconds.", "Leave it out for 30 seconds.");
}

/**
 * Declares an option that pins the repository.
 * @param variable environment variable that replaces the option
 */
export function expectOption<Name extends string>(name: Name, variable: string) {
  return {
    ...text("Trust:", name, `Pin: refuse any repository but this one; ${EXPECTATION_FORM}, else ${variable}`),
    default: process.env[variable] || undefined,
    defaultDescription: variable,
  };
}

/**
 * Parses pins of a repository.
 * @param name of the option, or of the other place that the pin comes from, for errors
 * @returns an empty array without pins
 * @throws Usage
 */
export function parsePins(name: string, ...pins: (string | undefined)[]): Expectation[] {
  return pins
    .filter((pin) => pin !== undefined)
    .map((pin) => {
      const expectation = parseExpectation(pin);
      if (expectation !== undefined) return expectation;
      throw usage(
        `${name} is not a pin of a repository: ${pin}`,
        `Write ${EXPECTATION_FORM}, as \`blockferry-agent init\` and \`key list\` print it.`,
      );
    });
}
