import { initEncrypted } from "../support/encryption.js";
import { directoryPlace } from "../support/repository-places.js";
import { tempFolder } from "../support/temp-folder.js";
import { testRepository } from "./repository-suite.js";

const ENCRYPTED = { name: "a local directory, encrypted", init: initEncrypted };

testRepository(directoryPlace(await tempFolder(), ENCRYPTED));
