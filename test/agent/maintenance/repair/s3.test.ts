import { describe } from "node:test";
import { fullDepthOnly } from "../../../support/depth.js";
import { s3Place } from "../../../support/repository-places.js";
import { startS3Server } from "../../../support/s3-server.js";
import { testRepair } from "./repair-suite.js";

describe("in S3", fullDepthOnly, async () => {
  testRepair(s3Place(await startS3Server("versitygw")));
});
