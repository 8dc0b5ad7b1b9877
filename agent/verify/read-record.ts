import { createHash, createHmac, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod/mini";
import { systemErrorCode } from "../../foundation/errors.js";
import { atPlace, makeFolders, PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE } from "../../foundation/held-place.js";
import { replaceFile } from "../../foundation/write-file.js";
import { stateFolder } from "../../repository/open/known-repositories.js";
import type { Repository } from "../../repository/open/repository.js";

/** Bytes of a keyed hash of a pack's id: a repository of 100 TiB takes 17 MiB. */
const MARK_BYTES = 8;
const MAX_DAMAGED_PACKS = 100_000;

const CursorSchema = z.strictObject({
  /** 128 bits in hex: packs that rank from here on are read next. */
  next: z.string().check(z.regex(/^[0-9a-f]{32}$/)),
  /** Packs that rank below `next` and are older than this have been read since. */
  lapBeganAt: z.iso.datetime(),
  /** All packs older than this have been read since; null before the first lap is over. */
  readSince: z.nullable(z.iso.datetime()),
});

/** The progress of verification by samples. */
export type VerifyCursor = z.infer<typeof CursorSchema>;

const RecordSchema = z.strictObject({
  version: z.literal(1),
  /** Random, 32 bytes in hex: orders packs for samples, so that no one else can predict the order. */
  key: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
  cursor: z.nullable(CursorSchema),
  /** Marks of the packs that were read whole and proven, base64. */
  read: z.string(),
  /** Ids of packs that were damaged when last read. */
  damaged: z.array(z.string().check(z.regex(/^[0-9a-f]{32}$/))),
});

/**
 * Records which packs of a repository this machine has read.
 * It is kept in the state folder of the machine: an attacker with write access to the repository alone can
 * neither steer samples away from a pack nor have one counted as read.
 */
export class ReadRecord {
  private constructor(
    private readonly path: string,
    private readonly key: Buffer,
    /** Where the next sample starts; undefined before the first. */
    public cursor: VerifyCursor | undefined,
    private readonly read: Set<string>,
    /** Ids of packs that were damaged when last read. */
    readonly damaged: Set<string>,
  ) {}

  /** Loads the record, or starts a new one if none exists or it cannot be read. */
  static async load({ config, storage }: Pick<Repository, "config" | "storage">): Promise<ReadRecord> {
    const name = createHash("sha256").update(`${config.id}\n${storage.name}`).digest("hex").slice(0, 32);
    const path = join(stateFolder(), "verify", `${name}.json`);
    const known = RecordSchema.safeParse(parsed(await textIn(path)));
    if (!known.success) return new ReadRecord(path, randomBytes(32), undefined, new Set(), new Set());
    const { key, cursor, read, damaged } = known.data;
    return new ReadRecord(
      path,
      Buffer.from(key, "hex"),
      cursor ?? undefined,
      marksIn(read),
      new Set(damaged),
    );
  }

  /** Returns a pack's position in the order of samples: 128 bits in hex. */
  rank(packId: string): string {
    return createHmac("sha256", this.key).update(packId).digest("hex").slice(0, 32);
  }

  /** Whether this machine has read all of a pack and found it intact. */
  hasRead(packId: string): boolean {
    return this.read.has(this.mark(packId));
  }

  /** Records packs that were read whole. */
  note(packs: { id: string; isDamaged: boolean }[]): void {
    for (const { id, isDamaged } of packs) {
      if (!isDamaged) this.read.add(this.mark(id));
      else this.read.delete(this.mark(id));
      if (!isDamaged) this.damaged.delete(id);
      else if (this.damaged.size < MAX_DAMAGED_PACKS) this.damaged.add(id);
    }
  }

  /**
   * Removes packs that no longer exist.
   * @param packIds the existing packs
   */
  keepOnly(packIds: Iterable<string>): void {
    const ids = [...packIds];
    const marks = new Set(ids.map((id) => this.mark(id)));
    for (const mark of this.read) if (!marks.has(mark)) this.read.delete(mark);
    const there = new Set(ids);
    for (const id of this.damaged) if (!there.has(id)) this.damaged.delete(id);
  }

  /** @throws RefusedPath or a system error if it cannot be written */
  async save(): Promise<void> {
    const record: z.infer<typeof RecordSchema> = {
      version: 1,
      key: this.key.toString("hex"),
      cursor: this.cursor ?? null,
      read: Buffer.from([...this.read].join(""), "hex").toString("base64"),
      damaged: [...this.damaged],
    };
    await makeFolders(dirname(this.path), PRIVATE_FOLDER_MODE);
    await atPlace(this.path, (place) => replaceFile(place, JSON.stringify(record), PRIVATE_FILE_MODE));
  }

  private mark(packId: string): string {
    return createHmac("sha256", this.key)
      .update("read")
      .update(packId)
      .digest("hex")
      .slice(0, 2 * MARK_BYTES);
  }
}

/** Returns the file's text, or none if it cannot be read: a backup must not fail because of it. */
async function textIn(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return "";
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function marksIn(read: string): Set<string> {
  const bytes = Buffer.from(read, "base64");
  const marks = new Set<string>();
  for (let at = 0; at + MARK_BYTES <= bytes.length; at += MARK_BYTES) {
    marks.add(bytes.toString("hex", at, at + MARK_BYTES));
  }
  return marks;
}
