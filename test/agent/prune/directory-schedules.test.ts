import { mountMemoryFileSystem } from "../../support/mounts.js";
import { newRepository } from "../../support/repositories.js";
import { tempFolder } from "../../support/temp-folder.js";
import { testSchedules } from "./schedules-suite.js";

const SCHEDULES = Number(process.env.BLOCKFERRY_SCHEDULES ?? 140);
/** Enough for a point or two more than what is there at first. */
const SMALL_DISK_BYTES = 11 * 2 ** 20;
/** A disk can only be mounted by root. */
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
