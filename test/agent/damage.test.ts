import { initPlain } from "../support/repositories.js";
import { testDamage } from "./damage-suite.js";

testDamage({ name: "a damaged repository", init: initPlain, randomCases: 20 });
