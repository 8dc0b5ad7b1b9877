import { describe } from "node:test";
import { fullDepthOnly } from "../support/depth.js";
import { s3Place } from "../support/repository-places.js";
import { startS3Server } from "../support/s3-server.js";
import { initEncryptedSource, testSeveralPlaces } from "./several-places-suite.js";

describe("in S3", fullDepthOnly, async () => {
  const moto = s3Place(await startS3Server("moto"));
  // The tests of a local directory include repositories without encryption.
  testSeveralPlaces({ ...moto, name: "moto, encrypted", init: initEncryptedSource });
});
