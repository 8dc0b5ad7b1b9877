import { randomBytes } from "node:crypto";
import { describe } from "node:test";
import { openStorage, parseStorageLocation } from "../../../../repository/storage/open-storage.js";
import { S3Objects } from "../../../support/s3-objects.js";
import {
  BUCKET,
  datesUploads,
  needingServer,
  type S3ServerName,
  startS3Server,
} from "../../../support/s3-server.js";
import { testStorage } from "../storage-suite.js";

/** Runs the storage suite against a real S3 server, under a new prefix for each test. */
export function testS3Storage(name: S3ServerName): void {
  describe(`S3 storage in ${name}`, needingServer(name), async () => {
    const { endpointUrl } = await startS3Server(name);
    const objects = new S3Objects(endpointUrl);
    testStorage({
      name,
      make: async () => {
        const repo = `s3://${BUCKET}/${randomBytes(6).toString("hex")}`;
        const reopen = () => openStorage(parseStorageLocation(repo, { endpointUrl, addressing: "path" }));
        return { storage: await reopen(), reopen };
      },
      leftovers: async (storage) => {
        const prefix = storage.name.slice(`s3://${BUCKET}/`.length);
        return [...(await objects.uploads(`${prefix}/`)), ...(await objects.keys(`${prefix}/tmp/`))];
      },
      partBytes: 8 * 1024 * 1024,
      streamRuns: 8,
      datesUploads: datesUploads(name),
    });
  });
}
