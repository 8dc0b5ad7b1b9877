import { BlockferryError } from "../foundation/blockferry-error.js";
import { type OwnFile, whyForeign } from "../foundation/own-file.js";
import { PRIVATE_FILE_MODE } from "../foundation/private-modes.js";
import { replaceFile, tryReplacing } from "../foundation/replace-file.js";
import type { Markup } from "./charts/markup.js";
import { DOCTYPE } from "./page.js";

const PAGE: OwnFile = { what: "web page", beginning: new RegExp(`^${DOCTYPE}`, "i") };

/** Where a report goes once there is something to report. */
export class ReportFile {
  private constructor(private readonly path: string) {}

  /**
   * Finds out whether a page can be written there, and leaves nothing behind. What is there already is replaced later only if it is a
   * page: a name that was mistyped may be that of a disk image.
   * @throws ReportNotWritable
   */
  static async prepare(path: string): Promise<ReportFile> {
    try {
      const reason = await whyForeign(path, PAGE);
      if (reason !== undefined) throw notWritable(path, reason);
      await tryReplacing(path);
    } catch (error) {
      throw error instanceof BlockferryError ? error : notWritable(path, reasonOf(error), error);
    }
    return new ReportFile(path);
  }

  /** It shows tags, paths and maps of the volumes: a new one is for its owner alone. */
  async write(page: Markup): Promise<void> {
    await replaceFile(this.path, page.text, PRIVATE_FILE_MODE);
  }
}

function notWritable(path: string, reason: string, cause?: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "ReportNotWritable",
      message: `The report cannot be written to ${path}: ${reason}.`,
      remedy:
        "Nothing was begun. Name a new file in a folder that exists and may be written to, as in --report backup.html",
      object: path,
    },
    cause,
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
