import { describe } from "node:test";
import { initRepository } from "../../../../repository/open/repository.js";
import { byDepth } from "../../../support/depth.js";
import { type Fault, startFaultProxy } from "../../../support/fault-proxy.js";
import { SeededRandom } from "../../../support/random.js";
import { BUCKET, startS3Server } from "../../../support/s3-server.js";
import { needing } from "../../../support/tools.js";
import { testSchedules } from "./schedules-suite.js";

const SCHEDULES = byDepth({ quick: 4, full: 12 });
/** Faults that a retry overcomes; the fault suites test the others. */
const FAULTS: readonly Fault[] = [
  "error-500",
  "cut-request",
  "cut-response",
  "corrupt-request",
  "lose-response",
];
const FAULTY_PERCENT = 3;

describe("a bucket", needing("versitygw"), async () => {
  const server = await startS3Server("versitygw");
  const proxy = await startFaultProxy(server.endpointUrl);
  const random = SeededRandom.fresh();
  proxy.chooseFault = () => (random.below(100) < FAULTY_PERCENT ? random.pick(FAULTS) : undefined);
  testSchedules({
    where: `versitygw, with ${FAULTY_PERCENT} per cent of all requests going wrong`,
    schedules: SCHEDULES,
    newRepository: async (name) => {
      const repo = `s3://${BUCKET}/${name}`;
      await initRepository(repo);
      return repo;
    },
    env: { AWS_ENDPOINT_URL: proxy.endpointUrl },
  });
});
