import { FAULTS } from "../../support/fault-proxy.js";
import { testFaults } from "./fault-suite.js";

await testFaults({ server: "versitygw", faults: FAULTS, mixedRounds: 100 });
