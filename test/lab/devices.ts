import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

/**
 * Returns the device node of a volume in an instance; undefined when there is none. Finds it by its serial
 * number, as the agent does.
 */
export async function deviceOf(
  folder: string,
  instanceId: string,
  volumeId: string,
): Promise<string | undefined> {
  const instance = join(folder, "instances", instanceId);
  for (const name of await readdir(join(instance, "sys", "block"))) {
    const serial = await readFile(join(instance, "sys", "block", name, "device", "serial"), "utf8");
    if (serial.trim() === volumeId.replace("-", "")) return readlink(join(instance, "dev", name));
  }
  return undefined;
}
