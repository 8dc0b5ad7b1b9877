import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Runs `use` with a loop device over an image file, and detaches it afterwards. Needs root. */
export async function withLoopDevice<T>(
  image: string,
  { sectorBytes, partscan = false }: { sectorBytes: number; partscan?: boolean },
  use: (device: string) => Promise<T>,
): Promise<T> {
  const { stdout } = await run("losetup", [
    ...["--find", "--show", `--sector-size=${sectorBytes}`],
    ...(partscan ? ["--partscan"] : []),
    image,
  ]);
  const device = stdout.trim();
  try {
    return await use(device);
  } finally {
    await run("losetup", ["--detach", device]);
  }
}
