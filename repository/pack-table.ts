import { PACK_ID_BYTES } from "./pack-format.js";

/** The packs that index entries refer to by number; every thread can read it. */
export class PackTable {
  private constructor(
    readonly memory: SharedArrayBuffer,
    private readonly ids: Buffer,
  ) {}

  static of(packIds: readonly string[]): PackTable {
    const table = PackTable.attach(new SharedArrayBuffer(packIds.length * PACK_ID_BYTES));
    packIds.forEach((id, number) => {
      table.ids.write(id, number * PACK_ID_BYTES, "hex");
    });
    return table;
  }

  static attach(memory: SharedArrayBuffer): PackTable {
    return new PackTable(memory, Buffer.from(memory));
  }

  get count(): number {
    return this.ids.length / PACK_ID_BYTES;
  }

  id(number: number): string {
    return this.ids.toString("hex", number * PACK_ID_BYTES, (number + 1) * PACK_ID_BYTES);
  }
}
