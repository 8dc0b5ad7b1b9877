import { randomBytes } from "node:crypto";
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  type MultipartUpload,
  PutObjectCommand,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { OWNER_TOKEN, ownerState } from "../../../foundation/owner-token.js";
import type { UploadSession } from "../storage.js";
import { crc32Base64 } from "./crc32-base64.js";
import { listMultipartUploads } from "./list-multipart-uploads.js";
import type { S3Bucket } from "./s3-bucket.js";

const MARKERS = "tmp/";
const REFRESH_MS = 5 * 60 * 1000;
/** A marker that nobody has refreshed for so long belongs to a run that is dead, even if another process has its number now. */
const EXPIRES_MS = 30 * 60 * 1000;
/** Older uploads are removed even while other runs are alive. A pack stays open until it has 64 MiB, or its run has read everything. */
const ABANDONED_MS = 7 * 24 * 60 * 60 * 1000;

/**
 * Marks a run that uploads, so that others leave its multipart uploads alone, and removes those that no living run can own.
 * The marker is an object `tmp/<owner>@<random>`, written before the first upload and refreshed. All times are the server's.
 */
export class S3UploadSession implements UploadSession {
  private readonly refreshing: NodeJS.Timeout;

  private constructor(
    private readonly s3: S3Bucket,
    private readonly marker: string,
    readonly removed: number,
  ) {
    this.refreshing = setInterval(() => void writeMarker(s3, marker).catch(() => undefined), REFRESH_MS);
    this.refreshing.unref();
  }

  static async begin(s3: S3Bucket): Promise<S3UploadSession> {
    const marker = newMarkerKey();
    try {
      await writeMarker(s3, marker);
      return new S3UploadSession(s3, marker, await removeStaleUploads(s3, marker));
    } catch (error) {
      throw s3.explain(marker, error);
    }
  }

  /** Removes what an answer that was lost has left of this run, too. What fails here is stale for the next run. */
  async end(): Promise<void> {
    clearInterval(this.refreshing);
    try {
      await removeStaleUploads(this.s3, this.marker);
      await this.s3.client.send(new DeleteObjectCommand(this.s3.object(this.marker)));
    } catch {
      // The marker expires.
    }
  }
}

/** The name of a short-lived object of this run, which others remove when the run is dead. */
export function newMarkerKey(): string {
  return `${MARKERS}${OWNER_TOKEN}@${randomBytes(8).toString("hex")}`;
}

async function writeMarker(s3: S3Bucket, marker: string): Promise<void> {
  const body = Buffer.alloc(0);
  await s3.client.send(
    new PutObjectCommand({
      ...s3.object(marker),
      ...s3.encryption,
      Body: body,
      ContentLength: 0,
      ChecksumCRC32: crc32Base64(body),
    }),
  );
}

/** Uploads are listed before markers: whoever owns one of them has written its marker by then. @returns how many were removed */
async function removeStaleUploads(s3: S3Bucket, ownMarker: string): Promise<number> {
  const uploads = await listMultipartUploads(s3);
  const { now, othersLive } = await readMarkers(s3, ownMarker);
  const stale = uploads.filter(({ Initiated }) => {
    const ageMs = now - (Initiated?.getTime() ?? now);
    return !othersLive || ageMs > ABANDONED_MS;
  });
  for (const upload of stale) await removeUpload(s3, upload);
  return stale.length;
}

/** Removes markers of dead runs on the way. @returns the server's time, and whether another run is alive */
async function readMarkers(s3: S3Bucket, ownMarker: string): Promise<{ now: number; othersLive: boolean }> {
  const others: { key: string; refreshedAt: number }[] = [];
  let now = 0;
  for await (const page of paginateListObjectsV2({ client: s3.client }, s3.prefix(MARKERS))) {
    for (const { Key = "", LastModified } of page.Contents ?? []) {
      const refreshedAt = LastModified?.getTime() ?? 0;
      if (s3.relative(Key) === ownMarker) now = refreshedAt;
      else others.push({ key: s3.relative(Key), refreshedAt });
    }
  }
  let othersLive = false;
  for (const { key, refreshedAt } of others) {
    const isGone = ownerState(key.slice(MARKERS.length).split("@")[0] ?? "") === "gone";
    const dead = isGone || now - refreshedAt > EXPIRES_MS;
    if (dead) await s3.client.send(new DeleteObjectCommand(s3.object(key)));
    else othersLive = true;
  }
  return { now, othersLive };
}

async function removeUpload(s3: S3Bucket, { Key = "", UploadId }: MultipartUpload): Promise<void> {
  try {
    await s3.client.send(new AbortMultipartUploadCommand({ ...s3.object(s3.relative(Key)), UploadId }));
  } catch (error) {
    if (!(error instanceof Error && error.name === "NoSuchUpload")) throw error;
  }
}
