import { randomBytes } from "node:crypto";
import { describe } from "node:test";
import { openStorage, parseStorageLocation } from "../../../../repository/storage/open-storage.js";
import { fullDepthOnly } from "../../../support/depth.js";
import { S3Objects } from "../../../support/s3-objects.js";
import {
  BUCKET,
  datesUploads,
  needingServer,
  REFUSED_SERVERS,
  S3_SERVER_NAMES,
  startS3Server,
} from "../../../support/s3-server.js";
import { testStorage } from "../storage-suite.js";

const QUICK_SERVERS = ["moto", "versitygw"];

for (const name of S3_SERVER_NAMES.filter((server) => REFUSED_SERVERS[server] === undefined)) {
  const options = QUICK_SERVERS.includes(name) ? needingServer(name) : fullDepthOnly;
  describe(`S3 storage in ${name}, under a new prefix for each test`, options, async () => {
    const server = await startS3Server(name);
    const { endpointUrl } = server;
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
