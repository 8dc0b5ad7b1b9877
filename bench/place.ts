import { rm } from "node:fs/promises";
import { type measure, measureDurable } from "./measure.js";

/** The location of a tool's repository: a local folder or a prefix in a bucket. */
export interface Place {
  /** The repository as restic names it; for a folder, its path. */
  url: string;
  /** The options that name the repository for blockferry. */
  blockferryOptions: string[];
  env: NodeJS.ProcessEnv;
  /** Removes the repository. */
  empty(): Promise<void>;
  /** Measures a command that writes to the repository. */
  measure: typeof measure;
}

/**
 * Returns a place in a local folder.
 * Commands are measured until their data is on disk, because the kernel may delay the writes.
 */
export function folderPlace(path: string): Place {
  return {
    url: path,
    blockferryOptions: ["--repo", path],
    env: {},
    empty: () => rm(path, { recursive: true, force: true }),
    measure: measureDurable,
  };
}
