import { byDepth } from "../../support/depth.js";
import { FAULTS } from "../../support/fault-proxy.js";
import { testFaults } from "./fault-suite.js";

testFaults({
  server: "versitygw",
  // Quick depth tries the others on moto.
  faults: byDepth({ quick: ["corrupt-request"], full: FAULTS }),
  mixedRounds: byDepth({ quick: 3, full: 30 }),
});
