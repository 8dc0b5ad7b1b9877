import { setTimeout } from "node:timers/promises";
import { ownerState } from "../../../foundation/owner-token.js";
import { newTempName, tempNameOwner, type UploadSession } from "../storage.js";
import type { S3Bucket } from "./s3-bucket.js";
import { listObjects } from "./s3-lists.js";
import { GivingUp, putObject, removeObject } from "./s3-requests.js";
import { abortUpload, unfinishedUploads } from "./s3-unfinished-uploads.js";

const MARKERS = "tmp/";
const EMPTY = Buffer.alloc(0);
/** Tests shorten it through the environment. */
const REFRESH_MS = Number(process.env.BLOCKFERRY_MARKER_REFRESH_MS) || 5 * 60 * 1000;
/**
 * A marker that was not refreshed for this long belongs to a dead run,
 * even if another process has its number now.
 */
const EXPIRES_MS = 30 * 60 * 1000;
/**
 * Older uploads are removed even while other runs are alive. A pack stays open until it reaches 64 MiB, or
 * its run has read everything.
 */
const ABANDONED_MS = 7 * 24 * 60 * 60 * 1000;

/**
 * Marks a run that uploads, so that other runs leave its multipart uploads alone. Removes uploads that no
 * living run can own. The marker is an object `tmp/<owner>@<random>`, written before the first upload and
 * refreshed. All times are the server's.
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
   * Ends the session. Also removes uploads of this run whose answers were lost. If a removal fails, the
   * upload is stale for the next run. The marker is removed last, when no refresh is pending that could
   * restore it.
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

  /** Refreshes the marker until the session ends; the next refresh makes up for a failed one. */
  private async refresh(): Promise<void> {
    const { started, over } = this.givingUp;
    const s3 = this.s3.until(started);
    while (!started.aborted) {
      try {
        await setTimeout(REFRESH_MS, undefined, { signal: started, ref: false });
        await putObject(s3, this.marker, EMPTY, {}, { cutOff: over });
      } catch {
        // The session has ended, or the marker keeps its age.
      }
    }
  }
}

/**
 * Returns the name of a short-lived object of this run. Other runs remove the object when this run is dead.
 */
function newMarkerKey(): string {
  return MARKERS + newTempName();
}

/**
 * Removes uploads of dead runs. Lists uploads before markers: an owner writes its marker before its uploads.
 * @returns the number of removed uploads
 */
async function removeStaleUploads(s3: S3Bucket, ownMarker: string): Promise<number> {
  const uploads = await unfinishedUploads(s3);
  const { now, othersLive } = await readMarkers(s3, ownMarker);
  const stale = uploads.filter(({ begunAt }) => {
    const ageMs = now - (begunAt?.getTime() ?? now);
    return !othersLive || ageMs > ABANDONED_MS;
  });
  for (const upload of stale) await abortUpload(s3, upload);
  return stale.length;
}

/**
 * Reads the markers, and removes those of dead runs. Objects with names of another form are not markers, and
 * stay.
 * @returns the server's time, and whether another run is alive
 */
async function readMarkers(s3: S3Bucket, ownMarker: string): Promise<{ now: number; othersLive: boolean }> {
  const others: { key: string; owner: string; refreshedAt: number }[] = [];
  let now = 0;
  for await (const { Key = "", LastModified } of listObjects(s3, MARKERS)) {
    const key = s3.relative(Key);
    const owner = tempNameOwner(key.slice(MARKERS.length));
    const refreshedAt = LastModified?.getTime() ?? 0;
    if (key === ownMarker) now = refreshedAt;
    else if (owner !== undefined) others.push({ key, owner, refreshedAt });
  }
  let othersLive = false;
  for (const { key, owner, refreshedAt } of others) {
    const dead = ownerState(owner) === "gone" || now - refreshedAt > EXPIRES_MS;
    if (dead) await removeObject(s3, key);
    else othersLive = true;
  }
  return { now, othersLive };
}
