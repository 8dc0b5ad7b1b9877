import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import type { FileHandle } from "node:fs/promises";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { BlockferryError, systemErrorCode, throwIfInterrupted } from "../../foundation/errors.js";
import { bareEnvironment } from "../../foundation/shell.js";

/** Formats of an exported image, with their names in qemu-img(1). */
export const IMAGE_FORMATS = ["raw", "qcow2", "vmdk"] as const;

export type ImageFormat = (typeof IMAGE_FORMATS)[number];

/** Requests that qemu-img has in flight and writes in any order; it accepts at most 16. */
const COROUTINES = 16;
/** The file passed to qemu-img, as its first descriptor after the standard ones. */
const INHERITED = "/proc/self/fd/3";

/**
 * Checks that qemu-img can be run.
 * @throws ToolMissing
 */
export async function requireQemuImg(): Promise<void> {
  try {
    await promisify(execFile)("qemu-img", ["--version"], { env: bareEnvironment() });
  } catch (error) {
    const reason = systemErrorCode(error) === "ENOENT" ? "it is not installed" : String(error);
    throw new BlockferryError(
      {
        code: "ToolMissing",
        message: `An export needs qemu-img, which cannot be run: ${reason}.`,
        remedy:
          "Install it: the package qemu-utils of Debian and Ubuntu, qemu-img of Fedora and Amazon Linux. `blockferry-agent restore` makes a raw image without it.",
        object: "qemu-img",
      },
      error,
    );
  }
}

interface ConvertOptions {
  /** NBD URI of the source. */
  source: string;
  /** The open file to write. qemu-img gets its descriptor, because a path could come to name another file. */
  image: FileHandle;
  /** Path of the target, for errors. */
  target: string;
  format: ImageFormat;
  /** @param share share of the work that is done, 0 to 1 */
  onProgress(share: number): void;
  signal: AbortSignal;
}

/**
 * Copies an image with `qemu-img convert`; holes stay holes.
 * @throws ExportFailed, Interrupted; qemu-img has ended by then
 */
export async function convertImage({
  source,
  image,
  target,
  format,
  onProgress,
  signal,
}: ConvertOptions): Promise<void> {
  const args = [
    "convert",
    "-p",
    "-W",
    "-m",
    String(COROUTINES),
    "-f",
    "raw",
    "-O",
    format,
    source,
    INHERITED,
  ];
  // In its own process group: only this process gets Ctrl-C, and then ends qemu-img.
  const child = spawn("qemu-img", args, {
    ...{ stdio: ["ignore", "pipe", "pipe", image.fd], detached: true, env: bareEnvironment() },
  });
  const kill = () => child.kill("SIGKILL");
  signal.addEventListener("abort", kill);
  if (signal.aborted) kill();
  let complaint = "";
  (child.stderr as Readable).setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  (child.stdout as Readable).setEncoding("utf8").on("data", (text: string) => {
    // " (42.01/100%)", repeated on one line (qemu-img(1), `-p`).
    const percent = /\(([\d.]+)\/100%\)\s*$/.exec(text)?.[1];
    if (percent !== undefined) onProgress(Number(percent) / 100);
  });
  try {
    const [code] = (await once(child, "close")) as [number | null];
    throwIfInterrupted(signal);
    if (code !== 0) throw exportFailed(target, complaint.trim() || "qemu-img ended without a message");
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

function exportFailed(target: string, reason: string): BlockferryError {
  return new BlockferryError({
    code: "ExportFailed",
    message: `The image cannot be written to ${target}: ${reason}`,
    remedy:
      "Check that there is room for the image, and that this user may write there. Nothing was left behind.",
    object: target,
  });
}
