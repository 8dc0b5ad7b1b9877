import { newRepository } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";
import { testSchedules } from "./schedules-suite.js";

const SCHEDULES = Number(process.env.BLOCKFERRY_SCHEDULES ?? 70);

testSchedules("a local directory", async () => newRepository(await tempFolder()), SCHEDULES);
