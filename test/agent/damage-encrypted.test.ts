import { describe } from "node:test";
import { fullDepthOnly } from "../support/depth.js";
import { initEncrypted } from "../support/encryption.js";
import { testDamage } from "./damage-suite.js";

describe("encrypted", fullDepthOnly, () => {
  testDamage({ name: "a damaged encrypted repository", init: initEncrypted, randomCases: 10 });
});
