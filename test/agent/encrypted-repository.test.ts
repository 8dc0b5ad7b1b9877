import { describe } from "node:test";
import { fullDepthOnly } from "../support/depth.js";
import { initEncrypted } from "../support/encryption.js";
import { directoryPlace } from "../support/repository-places.js";
import { tempFolder } from "../support/temp-folder.js";
import { testRepository } from "./repository-suite.js";

describe("encrypted", fullDepthOnly, async () => {
  const kind = { name: "a local directory, encrypted", init: initEncrypted };
  testRepository(directoryPlace(await tempFolder(), kind));
});
