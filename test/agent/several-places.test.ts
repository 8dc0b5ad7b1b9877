import { describe } from "node:test";
import { fullDepthOnly } from "../support/depth.js";
import { directoryPlace } from "../support/repository-places.js";
import { tempFolder } from "../support/temp-folder.js";
import { initEncryptedSource, testSeveralPlaces } from "./several-places-suite.js";

testSeveralPlaces(directoryPlace(await tempFolder()));
describe("encrypted", fullDepthOnly, async () => {
  const kind = { name: "a local directory, encrypted", init: initEncryptedSource };
  testSeveralPlaces(directoryPlace(await tempFolder(), kind));
});
