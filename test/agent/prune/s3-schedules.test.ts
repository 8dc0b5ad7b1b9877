import { describe } from "node:test";
import { initRepository } from "../../../repository/repository.js";
import { BUCKET, s3ServerMissing, startS3Server } from "../../support/s3-server.js";
import { testSchedules } from "./schedules-suite.js";

const SCHEDULES = Number(process.env.BLOCKFERRY_SCHEDULES ?? 30);

describe("a bucket", { skip: await s3ServerMissing("versitygw") }, async () => {
  await startS3Server("versitygw");
  const repo = async (name: string) => {
    await initRepository(`s3://${BUCKET}/${name}`);
    return `s3://${BUCKET}/${name}`;
  };
  testSchedules("versitygw", repo, SCHEDULES);
});
