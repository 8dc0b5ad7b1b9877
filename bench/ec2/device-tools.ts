import { join } from "node:path";
import { type Measured, measureDurable } from "../measure.js";
import type { Place } from "../place.js";
import {
  AGENT,
  BORG_CREATE,
  borgEnvironment,
  type cold,
  replaceRepository,
  resticEnvironment,
} from "../tools.js";

/**
 * A backup program under measurement, for block devices.
 * It reads from a device, and restores to a device or a file.
 */
export interface DeviceTool {
  name: string;
  /** Replaces the repository with an empty one. */
  reset(): Promise<void>;
  backup(device: string): Promise<Measured>;
  /** Restores the newest backup. */
  restore(target: string): Promise<Measured>;
}

/** Measures a command: `cold` empties the page cache first, `warm` leaves it as it is. */
export type Measuring = typeof cold;
export const warm: Measuring = (measuring, _program, command, options) => measuring(command, options);

/**
 * A shell runs the rest of the command with this device as its standard input, or with this target as its
 * output.
 */
const FROM = ["sh", "-c", 'exec "$@" < "$0"'];
const TO = ["sh", "-c", 'exec "$@" > "$0"'];

export function blockferryOnDevice(
  place: Place,
  options: { measuring: Measuring; backup: string[]; restore: string[] },
): DeviceTool {
  const { measuring } = options;
  const { env } = place;
  const command = (name: string, ...args: string[]) => [...AGENT, name, ...place.blockferryOptions, ...args];
  return {
    name: "blockferry",
    reset: () => replaceRepository(place, command("init")),
    backup: (device) =>
      measuring(place.measure, AGENT, command("backup", "--device", `${device}=disk`, ...options.backup), {
        env,
      }),
    restore: (target) => {
      const args = ["--point", "latest", "--target", `disk=${target}`, "--force", ...options.restore];
      return measuring(measureDurable, AGENT, command("restore", ...args), { env });
    },
  };
}

/** Measures borg, only with repositories in folders. */
export function borgOnDevice(place: Place, workFolder: string, measuring: Measuring): DeviceTool {
  const repo = place.url;
  const env = borgEnvironment(workFolder);
  let archive = "";
  return {
    name: "borg",
    reset: () => replaceRepository(place, ["borg", "init", "-e", "none", repo], { env }),
    backup: (device) => {
      archive = `${repo}::backup-${Date.now()}`;
      const command = [...BORG_CREATE, "--read-special", archive, device];
      return measuring(place.measure, ["borg"], command, { env });
    },
    restore: (target) =>
      measuring(measureDurable, ["borg"], [...TO, target, "borg", "extract", "--stdout", archive], { env }),
  };
}

/** Measures restic, which cannot read a device, but reads its standard input. */
function resticOnDevice(place: Place, workFolder: string, measuring: Measuring): DeviceTool {
  const env = { ...place.env, ...resticEnvironment(workFolder) };
  const restic = ["restic", "--repo", place.url, "--quiet"];
  return {
    name: "restic",
    reset: () => replaceRepository(place, [...restic, "init"], { env }),
    backup: (device) => {
      const command = [...FROM, device, ...restic, "backup", "--stdin", "--stdin-filename", "disk"];
      return measuring(place.measure, ["restic"], command, { env });
    },
    restore: (target) =>
      measuring(measureDurable, ["restic"], [...TO, target, ...restic, "dump", "latest", "/disk"], { env }),
  };
}

/** Returns the other tools that can store in such a place. */
export function otherTools(
  kind: "directory" | "s3",
  place: (name: string) => Place,
  { workFolder, measuring }: { workFolder: string; measuring: Measuring },
): DeviceTool[] {
  const restic = resticOnDevice(place("restic"), join(workFolder, "restic"), measuring);
  return kind === "s3"
    ? [restic]
    : [borgOnDevice(place("borg"), join(workFolder, "borg"), measuring), restic];
}
