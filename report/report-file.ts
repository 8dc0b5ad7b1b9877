import { BlockferryError } from "../foundation/blockferry-error.js";
import { atPlace } from "../foundation/held-place.js";
import { type OwnFile, refuseForeignFile } from "../foundation/own-file.js";
import { PRIVATE_FILE_MODE } from "../foundation/private-modes.js";
import { replaceFile, tryReplacing } from "../foundation/replace-file.js";
import type { Markup } from "./charts/markup.js";
import { DOCTYPE } from "./page.js";

const PAGE: OwnFile = { what: "web page", beginning: new RegExp(`^${DOCTYPE}`, "i") };

/** The path of a report that is written later. */
export class ReportFile {
  private constructor(private readonly path: string) {}

  /**
   * Checks that a page can be written there, and leaves no file behind.
   * An existing file is later replaced only if it is a page, because a mistyped name may be that of a disk
   * image.
   * @throws ReportNotWritable
   */
  static async prepare(path: string): Promise<ReportFile> {
    try {
      await atPlace(path, async (place) => {
        await refuseForeignFile(place, PAGE);
        await tryReplacing(place);
      });
    } catch (error) {
      throw notWritable(path, error);
    }
    return new ReportFile(path);
  }

  /**
   * Writes the page. A new file is readable only by its owner, because it shows tags, paths and maps of the
   * volumes.
   * @throws RefusedPath when another kind of file is there by now; a system error
   */
  async write(page: Markup): Promise<void> {
    await atPlace(this.path, async (place) => {
      await refuseForeignFile(place, PAGE);
      await replaceFile(place, page.text, PRIVATE_FILE_MODE);
    });
  }
}

function notWritable(path: string, cause: unknown): BlockferryError {
  return new BlockferryError(
    {
      code: "ReportNotWritable",
      message: `The report cannot be written to ${path}: ${reasonOf(cause)}.`,
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
