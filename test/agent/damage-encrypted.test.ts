import { initEncrypted } from "../support/encryption.js";
import { testDamage } from "./damage-suite.js";

testDamage({ name: "a damaged encrypted repository", init: initEncrypted, randomCases: 10 });
