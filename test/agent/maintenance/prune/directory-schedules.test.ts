import { byDepth } from "../../../support/depth.js";
import { mountMemoryFileSystem } from "../../../support/mounts.js";
import { newRepository } from "../../../support/repositories.js";
import { tempFolder } from "../../../support/temp-folder.js";
import { testSchedules } from "./schedules-suite.js";

const SCHEDULES = byDepth({ quick: 4, full: 30 });
/** Room for one or two points more than the first ones. */
const SMALL_DISK_BYTES = 11 * 2 ** 20;
/** Only root can mount a disk. */
const SMALL_DISK_SHARE = process.getuid?.() === 0 ? 0.25 : 0;
const onSmallDisk = Math.round(SCHEDULES * SMALL_DISK_SHARE);

testSchedules({
  where: "a local directory",
  schedules: SCHEDULES - onSmallDisk,
  newRepository: async () => newRepository(await tempFolder()),
});

testSchedules({
  where: "a directory on a disk that runs full",
  schedules: onSmallDisk,
  newRepository: async () => newRepository(await mountMemoryFileSystem(SMALL_DISK_BYTES)),
  storageErrors: ["StorageFull"],
});
