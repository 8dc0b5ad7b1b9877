import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { bareEnvironment } from "../../foundation/bare-environment.js";
import type { Signature } from "./probe-device.js";

/** Far more than wipefs prints for any device. */
const MAX_OUTPUT_BYTES = 1024 * 1024;

/**
 * Returns the signatures that libblkid finds on a device. Runs `wipefs --no-act` of util-linux, which gets
 * the device as a descriptor and only reads it.
 * @returns an empty array without the tool, or when it fails: it only adds to the kinds that this project
 * finds itself
 */
export async function runWipefs(fd: number): Promise<Signature[]> {
  try {
    return parse(await outputOf(fd));
  } catch {
    return [];
  }
}

function outputOf(fd: number): Promise<string> {
  const environment = bareEnvironment();
  const child = spawn("wipefs", ["--no-act", "--json", "/proc/self/fd/3"], {
    stdio: ["ignore", "pipe", "ignore", fd],
    env: { ...environment, PATH: `${environment.PATH}:/usr/sbin:/sbin` },
  });
  return new Promise((resolve, reject) => {
    let output = "";
    (child.stdout as Readable).setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (output.length > MAX_OUTPUT_BYTES) child.kill("SIGKILL");
    });
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve(output) : reject(new Error(`wipefs ended with ${code}`)),
    );
  });
}

interface WipefsOutput {
  signatures: { offset: string; type: string; uuid: string | null; label: string | null }[];
}

function parse(output: string): Signature[] {
  const { signatures } = JSON.parse(output) as WipefsOutput;
  return signatures.map(({ type, offset, uuid, label }) => ({
    ...{ type, offset: Number(offset) },
    ...{ uuid: uuid ?? undefined, label: label ?? undefined },
  }));
}
