import { DEPTH } from "../support/depth.js";
import { initEncrypted } from "../support/encryption.js";
import { directoryPlace, type RepositoryPlace, s3Place } from "../support/repository-places.js";
import { startS3Server } from "../support/s3-server.js";
import { tempFolder } from "../support/temp-folder.js";
import { testUnreadableDocuments } from "./unreadable-suite.js";

const places = [directoryPlace(await tempFolder())];
if (DEPTH === "full") {
  // Started before the first test is declared: the file's hooks run when all declared tests are done, and stop
  // the server.
  places.push(encrypted(s3Place(await startS3Server("moto"))));
}
for (const place of places) testUnreadableDocuments(place);

function encrypted(place: RepositoryPlace): RepositoryPlace {
  return { ...place, name: `${place.name}, encrypted`, init: initEncrypted };
}
