import assert from "node:assert/strict";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { assertSameSparse } from "./same-content.js";
import { tempFolder } from "./temp-folder.js";

const GIB = 2 ** 30;

test("sparse files are equal if their bytes are equal, regardless of holes", async () => {
  const folder = await tempFolder();
  const path = async (name: string, sizeBytes: number, ...writes: [offset: number, data: Buffer][]) => {
    const file = await open(join(folder, name), "w");
    await file.truncate(sizeBytes);
    for (const [offset, data] of writes) await file.write(data, 0, data.length, offset);
    await file.close();
    return join(folder, name);
  };
  const end = GIB - 5;
  const one = await path("one", GIB, [0, Buffer.from("begin")], [end, Buffer.from("thend")]);
  const zeros = await path(
    "zeros",
    GIB,
    [0, Buffer.from("begin")],
    [4096, Buffer.alloc(9000)],
    [end, Buffer.from("thend")],
  );
  await assertSameSparse(one, zeros);
  await assertSameSparse(zeros, one);
  for (const [what, other] of [
    ["a byte", await path("byte", GIB, [0, Buffer.from("begin")], [end, Buffer.from("theNd")])],
    [
      "data in a hole",
      await path(
        "more",
        GIB,
        [0, Buffer.from("begin")],
        [GIB / 2, Buffer.from("x")],
        [end, Buffer.from("thend")],
      ),
    ],
    ["a hole in data", await path("less", GIB, [0, Buffer.from("begin")])],
    ["the size", await path("size", GIB + 1, [0, Buffer.from("begin")], [end, Buffer.from("thend")])],
  ] as const) {
    await assert.rejects(assertSameSparse(one, other), what);
    await assert.rejects(assertSameSparse(other, one), what);
  }
});
