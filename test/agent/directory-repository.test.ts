import { directoryPlace } from "../support/repository-places.js";
import { tempFolder } from "../support/temp-folder.js";
import { testRepository } from "./repository-suite.js";

testRepository(directoryPlace(await tempFolder()));
