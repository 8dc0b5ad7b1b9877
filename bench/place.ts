import { rm } from "node:fs/promises";
import { type measure, measureDurable } from "./measure.js";

/** Where a tool keeps its repository: a local folder or a prefix in a bucket. */
export interface Place {
  /** The repository as restic names it; of a folder, its path. */
  url: string;
  /** The options that name it to blockferry. */
  blockferryOptions: string[];
  env: NodeJS.ProcessEnv;
  /** Removes what is there. */
  empty(): Promise<void>;
  /** Measures a command that writes to it. */
  measure: typeof measure;
}

/** The kernel may keep what is written for a while, so a command is measured until all of it is on disk. */
export function folderPlace(path: string): Place {
  return {
    url: path,
    blockferryOptions: ["--repo", path],
    env: {},
    empty: () => rm(path, { recursive: true, force: true }),
    measure: measureDurable,
  };
}
