import { withNbdFile } from "./nbd-file.js";
import { needing } from "./tools.js";

/** Options of a test that uses an nbdkit device. */
export const needingNbdDevice = needing("nbdkit", "nbdfuse");

/**
 * Mounts a device that nbdkit serves as a file, by nbdfuse, while `use` runs. The arguments name plugin and
 * filters; they make the device slow, hung, or with unreadable blocks. Needs root.
 */
export function withNbdDevice<T>(
  path: string,
  nbdkitArguments: string[],
  use: (path: string) => Promise<T>,
): Promise<T> {
  const nbdkit = ["nbdkit", "--single", "--exit-with-parent", ...nbdkitArguments];
  return withNbdFile(path, ["--command", ...nbdkit], use);
}

interface BadRange {
  offset: number;
  length: number;
}

/**
 * Returns nbdkit arguments for a device with the content of `image`. Reads that touch one of `bad` fail with
 * EIO.
 */
export function deviceWithBadBlocks(image: string, sizeBytes: number, bad: BadRange[]): string[] {
  const tests = bad.map(
    ({ offset, length }) =>
      `if [ $4 -lt ${offset + length} ] && [ $(($4 + $3)) -gt ${offset} ]; then fail; fi;`,
  );
  return scriptedDevice(image, sizeBytes, `fail() { echo EIO bad block >&2; exit 1; }; ${tests.join(" ")}`);
}

/**
 * Returns nbdkit arguments for a device with the content of `image`. Reads at or after byte `offset` never
 * return.
 */
export function deviceThatHangs(image: string, sizeBytes: number, offset: number): string[] {
  return scriptedDevice(image, sizeBytes, `if [ $(($4 + $3)) -gt ${offset} ]; then exec sleep 60; fi;`);
}

/** nbdkit-eval-plugin(1): a `pread` script gets the count as $3 and the offset as $4. */
function scriptedDevice(image: string, sizeBytes: number, beforeRead: string): string[] {
  const read = `dd if='${image}' skip=$4 count=$3 iflag=skip_bytes,count_bytes bs=1M status=none`;
  return ["eval", `get_size=echo ${sizeBytes}`, `pread=${beforeRead} ${read}`];
}
