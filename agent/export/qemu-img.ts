import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { BlockferryError, systemErrorCode } from "../../foundation/blockferry-error.js";
import { throwIfInterrupted } from "../../foundation/interrupted.js";
import type { ImageFormat } from "./image-format.js";

/** Requests that qemu-img has in flight, and writes in any order; 16 is the most it takes. */
const COROUTINES = 16;

/** @throws ToolMissing when there is no qemu-img */
export async function requireQemuImg(): Promise<void> {
  try {
    await promisify(execFile)("qemu-img", ["--version"]);
  } catch (error) {
    const reason = systemErrorCode(error) === "ENOENT" ? "it is not installed" : String(error);
    throw new BlockferryError(
      {
        code: "ToolMissing",
        message: `An export needs qemu-img, and it cannot be run: ${reason}.`,
        remedy:
          "Install it: the package qemu-utils of Debian and Ubuntu, qemu-img of Fedora and Amazon Linux. `blockferry-agent restore` makes a raw image without it.",
        object: "qemu-img",
      },
      error,
    );
  }
}

export interface ConvertOptions {
  /** NBD URI of the source. */
  source: string;
  /** An absolute path: what looks like a URL or a protocol is one to qemu-img otherwise. */
  target: string;
  format: ImageFormat;
  /** @param share of the work that is done, 0 to 1 */
  onProgress(share: number): void;
  signal: AbortSignal;
}

/**
 * Copies an image by `qemu-img convert`; holes stay holes.
 * @throws ExportFailed, Interrupted; qemu-img has ended by then
 */
export async function convertImage({
  source,
  target,
  format,
  onProgress,
  signal,
}: ConvertOptions): Promise<void> {
  const args = ["convert", "-p", "-W", "-m", String(COROUTINES), "-f", "raw", "-O", format, source, target];
  // In a process group of its own: Ctrl-C is for us alone, who then end it.
  const child = spawn("qemu-img", args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  const kill = () => child.kill("SIGKILL");
  signal.addEventListener("abort", kill);
  if (signal.aborted) kill();
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    // "    (42.01/100%)", again and again on one line (qemu-img(1), `-p`).
    const percent = /\(([\d.]+)\/100%\)\s*$/.exec(text)?.[1];
    if (percent !== undefined) onProgress(Number(percent) / 100);
  });
  try {
    const [code] = (await once(child, "close")) as [number | null];
    throwIfInterrupted(signal);
    if (code !== 0) throw exportFailed(target, complaint.trim() || "qemu-img ended without a word");
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

function exportFailed(target: string, reason: string): BlockferryError {
  return new BlockferryError({
    code: "ExportFailed",
    message: `The image cannot be written to ${target}: ${reason}`,
    remedy: "Check that there is room for it, and that this user may write there. Nothing was left behind.",
    object: target,
  });
}
