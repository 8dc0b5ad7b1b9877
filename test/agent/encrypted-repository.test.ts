import { initEncrypted } from "../support/encryption.js";
import { directoryPlace } from "./directory-place.js";
import { testRepository } from "./repository-suite.js";

testRepository(await directoryPlace("a local directory, encrypted", initEncrypted));
