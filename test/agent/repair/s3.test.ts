import { describe } from "node:test";
import { s3Place } from "../../support/repository-places.js";
import { s3ServerMissing, startS3Server } from "../../support/s3-server.js";
import { testRepair } from "./repair-suite.js";

const skip = await s3ServerMissing("versitygw");

describe("in S3", { skip }, async () => {
  if (skip === false) testRepair(s3Place(await startS3Server("versitygw")));
});
