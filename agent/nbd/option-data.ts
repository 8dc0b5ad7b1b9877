import { MAX_STRING_BYTES } from "./protocol.js";

/** The data of NBD_OPT_INFO or NBD_OPT_GO. */
export interface InfoRequest {
  name: string;
  /** Kinds of information wanted (NBD_INFO_*). */
  infos: number[];
}

/** The data of NBD_OPT_LIST_META_CONTEXT or NBD_OPT_SET_META_CONTEXT. */
export interface ContextRequest {
  name: string;
  queries: string[];
}

/** @returns undefined if the data are malformed */
export function parseInfoRequest(data: Buffer): InfoRequest | undefined {
  const cursor = new Cursor(data);
  const name = cursor.string();
  const count = cursor.u16();
  const infos: number[] = [];
  for (let left = count; left > 0 && cursor.isGood; left--) infos.push(cursor.u16());
  return cursor.isComplete ? { name, infos } : undefined;
}

/** @returns undefined if the data are malformed */
export function parseContextRequest(data: Buffer): ContextRequest | undefined {
  const cursor = new Cursor(data);
  const name = cursor.string();
  const count = cursor.u32();
  const queries: string[] = [];
  for (let left = count; left > 0 && cursor.isGood; left--) queries.push(cursor.string());
  return cursor.isComplete ? { name, queries } : undefined;
}

/** Reads fields one after the other. Past the end it returns zeros, and `isGood` becomes false. */
class Cursor {
  private at = 0;
  isGood = true;

  constructor(private readonly data: Buffer) {}

  /** Whether every field was present and nothing is left. */
  get isComplete(): boolean {
    return this.isGood && this.at === this.data.length;
  }

  u16(): number {
    return this.take(2)?.readUInt16BE() ?? 0;
  }

  u32(): number {
    return this.take(4)?.readUInt32BE() ?? 0;
  }

  string(): string {
    const length = this.u32();
    if (length > MAX_STRING_BYTES) this.isGood = false;
    return this.take(length)?.toString("utf8") ?? "";
  }

  private take(length: number): Buffer | undefined {
    this.isGood &&= this.at + length <= this.data.length;
    if (!this.isGood) return undefined;
    this.at += length;
    return this.data.subarray(this.at - length, this.at);
  }
}
