import { AbortMultipartUploadCommand, type MultipartUpload } from "@aws-sdk/client-s3";
import { BlockferryError } from "../../../foundation/errors.js";
import { packIdOf, packKey } from "../../format/pack.js";
import type { S3Bucket } from "./s3-bucket.js";
import { listMultipartUploads, listObjects } from "./s3-lists.js";
import { putObject, readS3Object, removeObject } from "./s3-requests.js";

/**
 * Records of uploads, named by their packs; the body is the id of the upload. They exist only on servers that
 * do not list uploads below a folder. MinIO lists an upload only for its exact key.
 */
const RECORDS = "tmp/uploads/";

/** The longest id of an upload that is read from a record, in bytes. AWS states no maximum. */
const MAX_ID_BYTES = 4096;

export interface UnfinishedUpload {
  /** Key of the pack. */
  key: string;
  uploadId: string;
  /** By the clock of the server. */
  begunAt: Date | undefined;
  /** Key of its record, if it has one. */
  record?: string | undefined;
}

/**
 * Returns the unfinished uploads of packs that the server lists or that have a record. Only packs
 * are uploaded in parts, so an upload with another key is not blockferry's.
 */
export async function unfinishedUploads(s3: S3Bucket): Promise<UnfinishedUpload[]> {
  return [...(await listedUploads(s3)), ...(await recordedUploads(s3))];
}

/** Aborts an upload and removes its record; an upload that is already over is not an error. */
export async function abortUpload(
  s3: S3Bucket,
  { key, uploadId, record }: Omit<UnfinishedUpload, "begunAt">,
): Promise<void> {
  const command = new AbortMultipartUploadCommand({ ...s3.object(key), UploadId: uploadId });
  try {
    await s3.send(command);
  } catch (error) {
    if (!(error instanceof Error && error.name === "NoSuchUpload")) throw error;
  }
  if (record !== undefined) await removeObject(s3, record);
}

/**
 * Records an upload that has begun, unless the server lists it. One upload of each thread is looked for.
 * @returns the key of the record
 */
export async function recordIfUnlisted(
  s3: S3Bucket,
  key: string,
  uploadId: string,
): Promise<string | undefined> {
  const pack = packIdOf(key);
  if (pack === undefined) return undefined;
  s3.server.listsUploads ??= isListed(s3, uploadId);
  if (await s3.server.listsUploads) return undefined;
  const record = RECORDS + pack;
  await putObject(s3, record, Buffer.from(uploadId));
  return record;
}

/** An error other than a refusal counts as a list: without it, an upload is only not removed so early. */
async function isListed(s3: S3Bucket, id: string): Promise<boolean> {
  try {
    return (await listedUploads(s3)).some(({ uploadId }) => uploadId === id);
  } catch {
    return true;
  }
}

async function listedUploads(s3: S3Bucket): Promise<UnfinishedUpload[]> {
  return ((await uploadsIfListed(s3, "packs/")) ?? []).flatMap(({ Key = "", UploadId, Initiated }) => {
    const key = s3.relative(Key);
    if (UploadId === undefined || packIdOf(key) === undefined) return [];
    return [{ key, uploadId: UploadId, begunAt: Initiated }];
  });
}

/**
 * Returns all unfinished uploads whose keys start with `prefix`.
 * @returns undefined if the server cannot list uploads
 */
export async function uploadsIfListed(s3: S3Bucket, prefix: string): Promise<MultipartUpload[] | undefined> {
  try {
    return await listMultipartUploads(s3, prefix);
  } catch (error) {
    const isIncomplete = error instanceof BlockferryError && error.code === "ListIncomplete";
    if (isIncomplete || s3.refusesAsUnknown(error)) return undefined;
    throw error;
  }
}

async function recordedUploads(s3: S3Bucket): Promise<UnfinishedUpload[]> {
  const uploads: UnfinishedUpload[] = [];
  for await (const { Key = "", LastModified } of listObjects(s3, RECORDS)) {
    const record = s3.relative(Key);
    const key = packKey(record.slice(RECORDS.length));
    if (packIdOf(key) === undefined) continue;
    const uploadId = await readRecord(s3, record);
    if (uploadId !== undefined) uploads.push({ key, uploadId, begunAt: LastModified, record });
  }
  return uploads;
}

/** @returns undefined if the upload has ended meanwhile, and its record is gone */
async function readRecord(s3: S3Bucket, record: string): Promise<string | undefined> {
  try {
    const range = { offset: 0, length: MAX_ID_BYTES };
    return (await readS3Object(s3, record, { range })).toString("utf8");
  } catch (error) {
    if (error instanceof Error && error.name === "NoSuchKey") return undefined;
    throw error;
  }
}
