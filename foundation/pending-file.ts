import type { FileHandle } from "node:fs/promises";
import { type HeldPlace, RefusedPath } from "./held-place.js";

/**
 * A new file beside a place; it takes the place's name once it is complete. All writes and changes go through
 * its descriptor, because another user may put a different file under its temporary name.
 */
export class PendingFile {
  private isComplete = false;

  private constructor(
    private readonly place: HeldPlace,
    private readonly name: string,
    readonly handle: FileHandle,
  ) {}

  /**
   * Creates the file in the place's folder.
   * @param name that is not taken yet
   * @param mode applied regardless of the umask
   */
  static async create(place: HeldPlace, name: string, mode: number): Promise<PendingFile> {
    return new PendingFile(place, name, await place.create(name, mode));
  }

  /** The path of the unfinished file, for messages. */
  get path(): string {
    return `${this.place.path.slice(0, -this.place.name.length)}${this.name}`;
  }

  /**
   * Gives the file the place's name and replaces any entry there.
   * @throws RefusedPath when one of the names turns out to belong to another file: the place must not be used
   * then
   */
  async takeName(): Promise<void> {
    await this.assertName(this.name);
    await this.place.rename(this.name, this.place.name);
    await this.assertName(this.place.name);
    this.isComplete = true;
  }

  /**
   * Closes the file, and removes it if it is not complete. If the file has been moved away, it is emptied.
   */
  async close(): Promise<void> {
    try {
      if (this.isComplete || this.handle.fd < 0) return;
      if (await this.place.isNameOf(this.name, this.handle)) await this.place.remove(this.name);
      else await this.handle.truncate(0);
    } finally {
      await this.handle.close();
    }
  }

  private async assertName(name: string): Promise<void> {
    if (await this.place.isNameOf(name, this.handle)) return;
    throw new RefusedPath(
      "something else was put in the place of the new file; other users can change its folder",
    );
  }
}
