import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { AbortMultipartUploadCommand, type MultipartUpload } from "@aws-sdk/client-s3";
import { OWNER_TOKEN, ownerState } from "../../../foundation/owner-token.js";
import type { UploadSession } from "../storage.js";
import { GivingUp } from "./giving-up.js";
import { listMultipartUploads } from "./list-multipart-uploads.js";
import { listObjects } from "./list-objects.js";
import { putObject } from "./put-object.js";
import { removeObject } from "./remove-object.js";
import type { S3Bucket } from "./s3-bucket.js";

const MARKERS = "tmp/";
const EMPTY = Buffer.alloc(0);
/** Tests shorten it through the environment. */
const REFRESH_MS = Number(process.env.BLOCKFERRY_MARKER_REFRESH_MS) || 5 * 60 * 1000;
/** A marker that nobody has refreshed for so long belongs to a run that is dead, even if another process has its number now. */
const EXPIRES_MS = 30 * 60 * 1000;
/** Older uploads are removed even while other runs are alive. A pack stays open until it has 64 MiB, or its run has read everything. */
const ABANDONED_MS = 7 * 24 * 60 * 60 * 1000;

/**
 * Marks a run that uploads, so that others leave its multipart uploads alone, and removes those that no living run can own.
 * The marker is an object `tmp/<owner>@<random>`, written before the first upload and refreshed. All times are the server's.
 */
export class S3UploadSession implements UploadSession {
  private readonly givingUp = new GivingUp();
  private readonly refreshing: Promise<void>;

  private constructor(
    private readonly s3: S3Bucket,
    private readonly marker: string,
    readonly removed: number,
  ) {
    this.refreshing = this.refresh();
  }

  static async begin(s3: S3Bucket): Promise<S3UploadSession> {
    const marker = newMarkerKey();
    try {
      await putObject(s3, marker, EMPTY);
      return new S3UploadSession(s3, marker, await removeStaleUploads(s3, marker));
    } catch (error) {
      throw s3.explain(marker, error);
    }
  }

  /**
   * Removes what an answer that was lost has left of this run, too. What fails here is stale for the next run. The marker goes
   * when no refresh is under way any more that could bring it back.
   */
  async end(): Promise<void> {
    this.givingUp.begin();
    const s3 = this.s3.until(this.givingUp.over);
    await this.refreshing;
    try {
      await removeStaleUploads(s3, this.marker);
      await removeObject(s3, this.marker);
    } catch {
      // The marker expires.
    }
  }

  /** Until the session ends; a refresh that fails is made up for by the next one. */
  private async refresh(): Promise<void> {
    const { begun, over } = this.givingUp;
    const s3 = this.s3.until(begun);
    while (!begun.aborted) {
      try {
        await setTimeout(REFRESH_MS, undefined, { signal: begun, ref: false });
        await putObject(s3, this.marker, EMPTY, {}, { cutOff: over });
      } catch {
        // Ended, or the marker is as old as it was.
      }
    }
  }
}

/** The name of a short-lived object of this run, which others remove when the run is dead. */
export function newMarkerKey(): string {
  return `${MARKERS}${OWNER_TOKEN}@${randomBytes(8).toString("hex")}`;
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
  for await (const { Key = "", LastModified } of listObjects(s3, MARKERS)) {
    const refreshedAt = LastModified?.getTime() ?? 0;
    if (s3.relative(Key) === ownMarker) now = refreshedAt;
    else others.push({ key: s3.relative(Key), refreshedAt });
  }
  let othersLive = false;
  for (const { key, refreshedAt } of others) {
    const isGone = ownerState(key.slice(MARKERS.length).split("@")[0] ?? "") === "gone";
    const dead = isGone || now - refreshedAt > EXPIRES_MS;
    if (dead) await removeObject(s3, key);
    else othersLive = true;
  }
  return { now, othersLive };
}

async function removeUpload(s3: S3Bucket, { Key = "", UploadId }: MultipartUpload): Promise<void> {
  const command = new AbortMultipartUploadCommand({ ...s3.object(s3.relative(Key)), UploadId });
  try {
    await s3.send(command);
  } catch (error) {
    if (!(error instanceof Error && error.name === "NoSuchUpload")) throw error;
  }
}
