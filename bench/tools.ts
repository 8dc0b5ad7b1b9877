import { mkdir, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { emptyPageCache, type Measured, type MeasureOptions, measure, measureDurable } from "./measure.js";
import { folderPlace, type Place } from "./place.js";

export const AGENT = [
  process.execPath,
  fileURLToPath(new URL("../programs/agent/main.cjs", import.meta.url)),
];

/** A backup program under measurement, with a repository of its own. */
export interface Tool {
  name: string;
  /** Replaces the repository with an empty one. */
  reset(): Promise<void>;
  backup(image: string): Promise<Measured>;
  /**
   * Restores the newest backup of `image` into an empty folder.
   * @returns the path of the restored image, and the measurement
   */
  restore(image: string, folder: string): Promise<Measured & { path: string }>;
}

/** Returns all three tools, with repositories in local folders. */
export function localTools(workFolder: string): Tool[] {
  const place = (name: string) => folderPlace(join(workFolder, `${name}-repo`));
  return [
    blockferry(place("blockferry")),
    borg(place("borg"), workFolder),
    restic(place("restic"), workFolder),
  ];
}

interface BlockferryOptions {
  /** Additional options of each command. */
  init?: string[];
  backup?: string[];
  restore?: string[];
  /** A command that starts the program. */
  launcher?: string[];
}

export function blockferry(place: Place, options: BlockferryOptions = {}): Tool {
  const { init = [], backup = [], restore = [], launcher = [] } = options;
  const { env } = place;
  const run = (command: string, ...args: string[]) => [
    ...launcher,
    ...AGENT,
    command,
    ...place.blockferryOptions,
    ...args,
  ];
  return {
    name: "blockferry",
    reset: () => replaceRepository(place, run("init", ...init)),
    backup: (image) => cold(place.measure, AGENT, run("backup", "--device", image, ...backup), { env }),
    restore: async (_image, folder) => {
      const path = join(folder, "restored.img");
      const command = run("restore", "--point", "latest", "--target", path, ...restore);
      return { ...(await cold(measureDurable, AGENT, command, { env })), path };
    },
  };
}

/** Returns blockferry with an encrypted repository. */
export function encryptedBlockferry(place: Place, options: BlockferryOptions = {}): Tool {
  const env = { ...place.env, BLOCKFERRY_PASSPHRASE: "a passphrase for the benchmark" };
  return blockferry({ ...place, env }, { ...options, init: ["--encrypt", "passphrase"] });
}

function borg(place: Place, workFolder: string): Tool {
  const repo = place.url;
  const env = borgEnvironment(workFolder);
  return {
    name: "borg",
    reset: () => replaceRepository(place, ["borg", "init", "-e", "none", repo], { env }),
    backup: (image) =>
      cold(place.measure, ["borg"], [...BORG_CREATE, `${repo}::backup-${Date.now()}`, image], { env }),
    restore: async (image, folder) => {
      const { stdout } = await measure(["borg", "list", "--last", "1", "--format", "{archive}", repo], {
        env,
      });
      const measured = await cold(
        measureDurable,
        ["borg"],
        ["borg", "extract", `${repo}::${stdout.trim()}`],
        {
          env,
          cwd: folder,
        },
      );
      return { ...measured, path: join(folder, relative("/", image)) };
    },
  };
}

export function restic(place: Place, workFolder: string): Tool {
  const env = { ...place.env, ...resticEnvironment(workFolder) };
  const command = ["restic", "--repo", place.url, "--quiet"];
  return {
    name: "restic",
    reset: () => replaceRepository(place, [...command, "init"], { env }),
    backup: (image) => cold(place.measure, ["restic"], [...command, "backup", image], { env }),
    restore: async (image, folder) => {
      const args = ["restore", "latest", "--target", folder];
      const measured = await cold(measureDurable, ["restic"], [...command, ...args], { env });
      return { ...measured, path: join(folder, relative("/", image)) };
    },
  };
}

/** Settings like blockferry's: LZ4 compression, chunks of 512 KiB. */
export const BORG_CREATE = ["borg", "create", "--compression", "lz4", "--chunker-params", "fixed,524288"];

export function borgEnvironment(workFolder: string) {
  return {
    BORG_BASE_DIR: join(workFolder, "borg-home"),
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: "yes",
  };
}

export function resticEnvironment(workFolder: string) {
  return { RESTIC_PASSWORD: "bench", RESTIC_CACHE_DIR: join(workFolder, "restic-cache") };
}

export async function emptyFolder(path: string): Promise<string> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true });
  return path;
}

export async function replaceRepository(
  place: Place,
  init: string[],
  options?: MeasureOptions,
): Promise<void> {
  await place.empty();
  await measure(init, { ...options, env: { ...place.env, ...options?.env } });
}

/**
 * Measures a command that reads data from the disk, but its own program from memory.
 * Loading the program is not part of the comparison.
 */
export async function cold(
  measuring: typeof measure,
  program: string[],
  command: string[],
  options?: MeasureOptions,
): Promise<Measured> {
  await emptyPageCache();
  const version = program[0] === "restic" ? "version" : "--version";
  await measure([...program, version], options);
  return measuring(command, options);
}
