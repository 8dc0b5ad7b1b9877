import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import { OWNER_TOKEN } from "../../foundation/owner-token.js";
import {
  type KmsMacKey,
  macKeyOf,
  SignatureSchema,
  signatureBy,
  signedMessage,
  verifyMacs,
  withoutSignature,
} from "../encryption/mac-key.js";
import type { RepositoryConfig } from "../format/config.js";
import { POINT_ID, PointReferenceSchema, pointKey } from "../format/recovery-point.js";
import { parseBody, sealJson } from "../format/sealed-json.js";
import { readSealedText } from "../storage/read-document.js";
import { undefinedIfAbsent } from "../storage/read-object.js";
import type { Storage } from "../storage/storage.js";
import { saysNothing, wasNotAnswered } from "../storage/storage-errors.js";
import { readPoint, removePoint } from "./points.js";

const FOLDER = "forgotten/";

const TombstoneSchema = z.object({
  version: z.literal(3),
  /** Id of the forgotten point. */
  point: z.string().check(z.regex(POINT_ID)),
  /** The hex digits of its seal; null if the point could not be read. */
  sha256: z.nullable(z.string().check(z.regex(/^[0-9a-f]{64}$/))),
  /** As in the point. */
  previous: z.nullable(PointReferenceSchema),
  forgottenAt: z.iso.datetime(),
  /** The process that forgot it. */
  owner: z.string(),
  /** Left out of an unsigned tombstone. */
  signature: z.optional(z.object(SignatureSchema.shape)),
});

/**
 * Records that a point was forgotten. It is written before the point is removed, and never removed itself.
 */
export type Tombstone = z.infer<typeof TombstoneSchema>;

/** The key that signs and proves the tombstones of a repository. */
export interface TombstoneKey {
  /** UUID of the repository. */
  repository: string;
  key: KmsMacKey;
}

interface TombstoneList {
  /** By the ids of their points: with a key the tombstones signed by it, otherwise all readable ones. */
  tombstones: Map<string, Tombstone>;
  /** With a key, the other readable tombstones, by the ids in their names. */
  unproven: Map<string, Tombstone>;
  damaged: BlockferryError[];
  /** Number of signed tombstones that count without proof, without a key. */
  unchecked: number;
}

/**
 * Removes a point. In a repository of version 3 its tombstone is durable first. For a point that is already
 * gone, the tombstone is written again, and thereby signed if there is a key.
 * @param key signs the tombstone; without it the tombstone is not signed
 * @throws StorageDenied, StorageFailed; the errors of the key, before anything is written
 */
export async function forgetPoint(
  storage: Storage,
  { version }: Pick<RepositoryConfig, "version">,
  id: string,
  key?: TombstoneKey,
): Promise<void> {
  if (version === 3) await writeTombstone(storage, id, key);
  await removePoint(storage, id);
}

/**
 * Writes the tombstone of a point. A tombstone from an interrupted `forget` is replaced by an equal one. If
 * the point can no longer be read, the new tombstone repeats the earlier one. A signed tombstone is never
 * replaced by an unsigned one.
 */
async function writeTombstone(storage: Storage, id: string, key: TombstoneKey | undefined): Promise<void> {
  const earlier = (await ifWhole(() => readTombstone(storage, id)))?.tombstone;
  if (key === undefined && earlier?.point === id && earlier.signature !== undefined) return;
  const read = await ifWhole(() => readPoint(storage, pointKey(id)));
  const written: Tombstone = {
    ...{ version: 3, point: id, sha256: read?.sha256 ?? null, previous: read?.point.previous ?? null },
    ...{ forgottenAt: new Date().toISOString(), owner: OWNER_TOKEN },
  };
  const { signature: _, ...body } = read === undefined && earlier?.point === id ? earlier : written;
  await storage.put(tombstoneKey(id), await sealTombstone(body, key));
}

async function sealTombstone(body: Tombstone, named: TombstoneKey | undefined): Promise<Buffer> {
  if (named === undefined) return sealJson(body);
  const { repository, key } = named;
  const message = tombstoneMessage({ repository, point: body.point }, JSON.stringify(body));
  return sealJson({ ...body, signature: await signatureBy(macKeyOf(key), message) });
}

/**
 * Returns the message that is signed: the tombstone and its place. The verifier takes the point from the name
 * of the object.
 * @param text of the body, without the signature
 */
export function tombstoneMessage(
  { repository, point }: { repository: string; point: string },
  text: string,
): Buffer {
  return signedMessage(`blockferry tombstone 1\nrepository ${repository}\npoint ${point}\n`, text);
}

/**
 * Returns the ids of the forgotten points.
 * @param key only tombstones that it has signed count; without a key their names are enough, so a damaged
 * tombstone counts too
 */
export async function forgottenIds(storage: Storage, key?: TombstoneKey): Promise<Set<string>> {
  if (key !== undefined) return new Set((await listTombstones(storage, key)).tombstones.keys());
  return new Set((await storage.list(FOLDER)).flatMap(({ key }) => forgottenIdOf(key) ?? []));
}

/** Lists the tombstones of a repository. @throws the errors of KMS for the key */
export async function listTombstones(storage: Storage, key?: TombstoneKey): Promise<TombstoneList> {
  const list: TombstoneList = { tombstones: new Map(), unproven: new Map(), damaged: [], unchecked: 0 };
  const found: FoundTombstone[] = [];
  for (const id of await forgottenIds(storage)) {
    try {
      const tombstone = await undefinedIfAbsent(() => readTombstone(storage, id));
      if (tombstone !== undefined) found.push(tombstone);
    } catch (error) {
      if (!(error instanceof BlockferryError) || wasNotAnswered(error)) throw error;
      list.damaged.push(error);
    }
  }
  const proven = key === undefined ? undefined : await provenIds(found, key);
  for (const { id, tombstone } of found) {
    if (tombstone.point === id && proven?.has(id) !== false) list.tombstones.set(id, tombstone);
    else if (proven !== undefined) list.unproven.set(id, tombstone);
    if (proven === undefined && tombstone.signature !== undefined) list.unchecked++;
  }
  return list;
}

/** A tombstone that is stored under the name of a point. */
interface FoundTombstone {
  /** Id of the point, from the name of the object. */
  id: string;
  tombstone: Tombstone;
  /** Text of the body. */
  text: string;
}

/** Reads the tombstone of a point. @throws ObjectNotFound, ObjectCorrupt, RepositoryUnsupported */
async function readTombstone(storage: Storage, id: string): Promise<FoundTombstone> {
  const text = await readSealedText(storage, tombstoneKey(id));
  return { id, tombstone: parseBody(text, TombstoneSchema, tombstoneKey(id)), text };
}

/**
 * Returns the ids of the tombstones that the key has signed. The signature covers the repository and the
 * point in the name.
 */
async function provenIds(
  found: readonly FoundTombstone[],
  { repository, key }: TombstoneKey,
): Promise<Set<string>> {
  const claims = found.flatMap(({ id, tombstone: { signature }, text }) => {
    const message = tombstoneMessage({ repository, point: id }, withoutSignature(text));
    return signature === undefined ? [] : [{ id, message, mac: signature.mac }];
  });
  if (claims.length === 0) return new Set();
  const verdicts = await verifyMacs(key, claims);
  return new Set(claims.filter((_, index) => verdicts[index]).map(({ id }) => id));
}

export function tombstoneKey(id: string): string {
  return `${FOLDER}${id}.json`;
}

function forgottenIdOf(key: string): string | undefined {
  const id = key.slice(FOLDER.length, -".json".length);
  return POINT_ID.test(id) && key === tombstoneKey(id) ? id : undefined;
}

/** Reads a document. @returns undefined when it is gone or unusable */
async function ifWhole<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof BlockferryError) || saysNothing(error)) throw error;
    return undefined;
  }
}
