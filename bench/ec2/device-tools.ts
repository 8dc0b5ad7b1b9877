import { join } from "node:path";
import { type Measured, measureDurable } from "../measure.js";
import type { Place } from "../place.js";
import { AGENT, BORG_CREATE, borgEnvironment, cold, replaceRepository, resticEnvironment } from "../tools.js";

/** A backup program under measurement, for block devices: these are read from the device, and restored to one or to a file. */
export interface DeviceTool {
  name: string;
  /** Replaces the repository by an empty one. */
  reset(): Promise<void>;
  backup(device: string): Promise<Measured>;
  /** Restores the newest backup. */
  restore(target: string): Promise<Measured>;
}

/** A shell runs the rest of the command with this device as its standard input, or with this target as its output. */
const FROM = ["sh", "-c", 'exec "$@" < "$0"'];
const TO = ["sh", "-c", 'exec "$@" > "$0"'];

export function blockferryOnDevice(
  place: Place,
  options: { backup: string[]; restore: string[] },
): DeviceTool {
  const { env } = place;
  const command = (name: string, ...args: string[]) => [...AGENT, name, ...place.blockferryOptions, ...args];
  return {
    name: "blockferry",
    reset: () => replaceRepository(place, command("init")),
    backup: (device) =>
      cold(place.measure, AGENT, command("backup", "--device", `${device}=disk`, ...options.backup), { env }),
    restore: (target) => {
      const args = ["--point", "latest", "--target", `disk=${target}`, "--force", ...options.restore];
      return cold(measureDurable, AGENT, command("restore", ...args), { env });
    },
  };
}

/** Only for repositories in folders. */
export function borgOnDevice(place: Place, workFolder: string): DeviceTool {
  const repo = place.url;
  const env = borgEnvironment(workFolder);
  let archive = "";
  return {
    name: "borg",
    reset: () => replaceRepository(place, ["borg", "init", "-e", "none", repo], { env }),
    backup: (device) => {
      archive = `${repo}::backup-${Date.now()}`;
      const command = [...BORG_CREATE, "--read-special", archive, device];
      return cold(place.measure, ["borg"], command, { env });
    },
    restore: (target) =>
      cold(measureDurable, ["borg"], [...TO, target, "borg", "extract", "--stdout", archive], { env }),
  };
}

/** restic reads no device, but it does read its standard input. */
function resticOnDevice(place: Place, workFolder: string): DeviceTool {
  const env = { ...place.env, ...resticEnvironment(workFolder) };
  const restic = ["restic", "--repo", place.url, "--quiet"];
  return {
    name: "restic",
    reset: () => replaceRepository(place, [...restic, "init"], { env }),
    backup: (device) => {
      const command = [...FROM, device, ...restic, "backup", "--stdin", "--stdin-filename", "disk"];
      return cold(place.measure, ["restic"], command, { env });
    },
    restore: (target) =>
      cold(measureDurable, ["restic"], [...TO, target, ...restic, "dump", "latest", "/disk"], { env }),
  };
}

/** Those that can store in such a place, ours aside. */
export function otherTools(
  kind: "directory" | "s3",
  place: (name: string) => Place,
  workFolder: string,
): DeviceTool[] {
  const restic = resticOnDevice(place("restic"), join(workFolder, "restic"));
  return kind === "s3" ? [restic] : [borgOnDevice(place("borg"), join(workFolder, "borg")), restic];
}
