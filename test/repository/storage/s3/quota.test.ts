import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openStorage } from "../../../../repository/storage/open-storage.js";
import { parseS3Location } from "../../../../repository/storage/s3/s3-location.js";
import { errorBody, startFaultProxy } from "../../../support/fault-proxy.js";
import { BUCKET, startS3Server } from "../../../support/s3-server.js";

/** Answers of servers whose disk is full, or where a quota is reached. */
const REFUSALS = [
  ["Ceph, versitygw", 403, "QuotaExceeded"],
  ["MinIO, quota of a bucket", 400, "XMinioAdminBucketQuotaExceeded"],
  ["MinIO, full", 507, "XMinioStorageFull"],
  ["NooBaa", 409, "ObjectQuotaExceeded"],
  ["Ozone", 403, "QUOTA_EXCEEDED"],
  ["any server, by the status alone", 507, "EntityTooLarge"],
] as const;

describe("a server without room", async () => {
  const proxy = await startFaultProxy((await startS3Server("moto")).endpointUrl);
  for (const [server, status, code] of REFUSALS) {
    test(`(${server}) gives StorageFull at the first answer`, async () => {
      const location = parseS3Location(`s3://${BUCKET}/full`, {
        ...{ endpointUrl: proxy.endpointUrl, addressing: "path" },
      });
      proxy.requests.length = 0;
      const refusal = { status, headers: { "content-type": "application/xml" }, body: errorBody(code) };
      proxy.chooseFault = ({ method }) => (method === "PUT" ? refusal : undefined);
      const storage = await openStorage(location);
      await assert.rejects(storage.put("locks/x", Buffer.from("x")), { code: "StorageFull" });
      assert.equal(proxy.requests.filter(({ method }) => method === "PUT").length, 1);
    });
  }
});
