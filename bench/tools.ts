import { mkdir, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { emptyPageCache, type Measured, type MeasureOptions, measure, measureDurable } from "./measure.js";

const AGENT = [process.execPath, fileURLToPath(new URL("../agent/main.cjs", import.meta.url))];

/** A backup program under measurement, with a repository of its own. */
export interface Tool {
  name: string;
  /** Replaces the repository by an empty one. */
  reset(): Promise<void>;
  backup(image: string): Promise<Measured>;
  /** Restores the newest backup of `image` into an empty folder. @returns where the image came to lie, and what it took */
  restore(image: string, folder: string): Promise<Measured & { path: string }>;
}

export function blockferry(workFolder: string): Tool {
  const repo = join(workFolder, "blockferry-repo");
  return {
    name: "blockferry",
    reset: () => replaceRepository(repo, [...AGENT, "init", "--repo", repo]),
    backup: (image) => cold(AGENT, [...AGENT, "backup", "--repo", repo, "--device", image]),
    restore: async (_image, folder) => {
      const path = join(folder, "restored.img");
      const args = ["restore", "--repo", repo, "--point", "latest", "--target", path];
      return { ...(await cold(AGENT, [...AGENT, ...args])), path };
    },
  };
}

export function borg(workFolder: string): Tool {
  const repo = join(workFolder, "borg-repo");
  const env = {
    BORG_BASE_DIR: join(workFolder, "borg-home"),
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: "yes",
  };
  const create = ["borg", "create", "--compression", "lz4", "--chunker-params", "fixed,524288"];
  return {
    name: "borg",
    reset: () => replaceRepository(repo, ["borg", "init", "-e", "none", repo], { env }),
    backup: (image) => cold(["borg"], [...create, `${repo}::backup-${Date.now()}`, image], { env }),
    restore: async (image, folder) => {
      const { stdout } = await measure(["borg", "list", "--last", "1", "--format", "{archive}", repo], {
        env,
      });
      const measured = await cold(["borg"], ["borg", "extract", `${repo}::${stdout.trim()}`], {
        env,
        cwd: folder,
      });
      return { ...measured, path: join(folder, relative("/", image)) };
    },
  };
}

export function restic(workFolder: string): Tool {
  const repo = join(workFolder, "restic-repo");
  const env = { RESTIC_PASSWORD: "bench", RESTIC_CACHE_DIR: join(workFolder, "restic-cache") };
  const command = ["restic", "--repo", repo, "--quiet"];
  return {
    name: "restic",
    reset: () => replaceRepository(repo, [...command, "init"], { env }),
    backup: (image) => cold(["restic"], [...command, "backup", image], { env }),
    restore: async (image, folder) => {
      const measured = await cold(["restic"], [...command, "restore", "latest", "--target", folder], { env });
      return { ...measured, path: join(folder, relative("/", image)) };
    },
  };
}

export async function emptyFolder(path: string): Promise<string> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true });
  return path;
}

async function replaceRepository(repo: string, init: string[], options?: MeasureOptions): Promise<void> {
  await rm(repo, { recursive: true, force: true });
  await measure(init, options);
}

/** Data come from the disk, the program itself from memory: loading it is not what is compared. */
async function cold(program: string[], command: string[], options?: MeasureOptions): Promise<Measured> {
  await emptyPageCache();
  const version = program[0] === "restic" ? "version" : "--version";
  await measure([...program, version], options);
  return measureDurable(command, options);
}
