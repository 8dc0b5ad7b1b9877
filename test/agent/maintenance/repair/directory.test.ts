import { directoryPlace } from "../../../support/repository-places.js";
import { tempFolder } from "../../../support/temp-folder.js";
import { testRepair } from "./repair-suite.js";

testRepair(directoryPlace(await tempFolder()));
