import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  loadBlockMap,
  MAP_FANOUT,
  mapNodeCount,
  storeBlockMap,
  VolumeChunks,
} from "../../../repository/format/block-map.js";
import { CHUNK_ID_BYTES, chunkId, ZERO_CHUNK_ID } from "../../../repository/format/chunk.js";
import { ChunkIndex } from "../../../repository/index/chunk-index.js";

/** The chunk at each position of a volume; all other positions are zeros. */
type Content = ReadonlyMap<number, string>;

interface Loss {
  chunks: number[];
  nodes: { position: number; length: number; error: unknown }[];
}

/** Chunks and nodes in memory, by id, with their own index. */
class MemoryStore {
  readonly index = ChunkIndex.create(20_000);
  readonly nodes = new Map<string, Buffer>();

  async store(count: number, content: Content): Promise<Buffer> {
    const chunks = VolumeChunks.create(count);
    for (const [position, text] of content) {
      const claimed = this.index.claim(chunkId(Buffer.from(text)));
      chunks.set(position, claimed < 0 ? ~claimed : claimed);
    }
    return Buffer.from(await storeBlockMap(chunks, this.index, async (payload) => this.storeNode(payload)));
  }

  storeNode(payload: Buffer): number {
    const id = chunkId(payload);
    this.nodes.set(id.toString("hex"), Buffer.from(payload));
    const claimed = this.index.claim(id);
    return claimed < 0 ? ~claimed : claimed;
  }

  /** Returns a store without the nodes and chunks of these ids. */
  without(...lost: Buffer[]): MemoryStore {
    const rest = new MemoryStore();
    const gone = new Set(lost.map((id) => id.toString("hex")));
    for (let entry = 0; entry < this.index.size; entry++) {
      const id = Buffer.from(this.index.id(entry));
      if (!gone.has(id.toString("hex"))) rest.index.claim(id);
    }
    for (const [id, node] of this.nodes) if (!gone.has(id)) rest.nodes.set(id, node);
    return rest;
  }

  async load(root: Buffer, count: number): Promise<{ content: Content; loss: Loss }> {
    const loss: Loss = { chunks: [], nodes: [] };
    const read = async (entry: number) => {
      const node = this.nodes.get(this.index.id(entry).toString("hex"));
      if (node === undefined) throw new Error("this chunk is no node");
      return node;
    };
    const reader = { index: this.index, read };
    const chunks = await loadBlockMap(root, count, reader, {
      onMissingChunk: (position) => loss.chunks.push(position),
      onMissingNode: (position, length, error) => loss.nodes.push({ position, length, error }),
    });
    assert.equal(chunks.count, count);
    const content = new Map<number, string>();
    for (let position = 0; position < count; position++) {
      const entry = chunks.get(position);
      if (entry >= 0) content.set(position, this.index.id(entry).toString("hex"));
    }
    return { content, loss };
  }
}

/** Returns the expected result of `load`: the ids of the content. */
function idsOf(content: Content): Content {
  const sorted = [...content].sort(([a], [b]) => a - b);
  return new Map(sorted.map(([position, text]) => [position, chunkId(Buffer.from(text)).toString("hex")]));
}

/** Computes a node, which is the ids of its chunks, by brute force. */
function nodeOf(content: Content, count: number, node: number): Buffer {
  const start = node * MAP_FANOUT;
  const length = Math.min(MAP_FANOUT, count - start);
  return Buffer.concat(
    Array.from({ length }, (_, i) => {
      const text = content.get(start + i);
      return text === undefined ? ZERO_CHUNK_ID : chunkId(Buffer.from(text));
    }),
  );
}

const edgeSizes = [0, 1, MAP_FANOUT - 1, MAP_FANOUT, MAP_FANOUT + 1, 2 * MAP_FANOUT, 5 * MAP_FANOUT + 7];
const volume = fc.oneof(fc.constantFrom(...edgeSizes), fc.nat({ max: 8 * MAP_FANOUT })).chain((count) =>
  fc.record({
    count: fc.constant(count),
    content:
      count === 0
        ? fc.constant(new Map<number, string>())
        : fc
            .array(fc.tuple(fc.nat({ max: count - 1 }), fc.nat({ max: 40 })), { maxLength: 60 })
            .map((pairs) => new Map(pairs.map(([position, chunk]) => [position, `chunk ${chunk}`]))),
  }),
);

test("a block map of any size is read back as it was stored, and its zero nodes are not stored", async () => {
  await fc.assert(
    fc.asyncProperty(volume, async ({ count, content }) => {
      const store = new MemoryStore();
      const root = await store.store(count, content);
      const { content: loaded, loss } = await store.load(root, count);
      assert.deepEqual(loaded, idsOf(content));
      assert.deepEqual(loss, { chunks: [], nodes: [] });
      assert.equal(root.equals(ZERO_CHUNK_ID), content.size === 0);
      const zeroNode = [...store.nodes.values()].find((node) => node.equals(Buffer.alloc(node.length)));
      assert.equal(zeroNode, undefined);
      assert.ok(store.nodes.size <= mapNodeCount(count));
    }),
    { numRuns: 60 },
  );
});

test("a full block map of each edge size has the number of nodes that mapNodeCount returns", async () => {
  const expected = [0, 1, 1, 1, 3, 3, 7];
  for (const [number, count] of edgeSizes.entries()) {
    const content = new Map(Array.from({ length: count }, (_, position) => [position, `chunk ${position}`]));
    const store = new MemoryStore();
    const root = await store.store(count, content);
    assert.deepEqual((await store.load(root, count)).content, idsOf(content));
    assert.equal(store.nodes.size, expected[number]);
    assert.equal(mapNodeCount(count), expected[number]);
  }
});

test("a sparse volume of more than 2048 x 2048 chunks has three levels and stores only nodes that are not zeros", async () => {
  const count = MAP_FANOUT ** 2 + 5;
  const content = new Map([
    [0, "first"],
    [MAP_FANOUT * 3 + 1, "inside"],
    [MAP_FANOUT ** 2 - 1, "last of the first span"],
    [count - 1, "last"],
  ]);
  const store = new MemoryStore();
  const root = await store.store(count, content);
  assert.deepEqual((await store.load(root, count)).content, idsOf(content));
  assert.equal(store.nodes.size, 4 + 2 + 1);
  assert.equal(store.nodes.get(root.toString("hex"))?.length, 2 * CHUNK_ID_BYTES);
  assert.equal(mapNodeCount(count), MAP_FANOUT + 1 + 2 + 1);

  const lowest = chunkId(nodeOf(content, count, 3));
  const lostLowest = await store.without(lowest).load(root, count);
  assert.deepEqual(
    lostLowest.loss.nodes.map(({ position, length }) => ({ position, length })),
    [{ position: 3 * MAP_FANOUT, length: MAP_FANOUT }],
  );
  const top = store.nodes.get(root.toString("hex")) as Buffer;
  const lostSpan = await store.without(top.subarray(CHUNK_ID_BYTES)).load(root, count);
  assert.deepEqual(
    lostSpan.loss.nodes.map(({ position, length }) => ({ position, length })),
    [{ position: MAP_FANOUT ** 2, length: 5 }],
  );
  assert.deepEqual([...lostSpan.content.keys()], [0, MAP_FANOUT * 3 + 1, MAP_FANOUT ** 2 - 1]);
});

test("segments that did not change keep their node ids, and one changed chunk costs one node a level", async () => {
  const change = fc.record({ position: fc.nat(), chunk: fc.nat({ max: 40 }) });
  await fc.assert(
    fc.asyncProperty(volume, change, async ({ count, content }, { position, chunk }) => {
      fc.pre(count > 0);
      const store = new MemoryStore();
      const root = await store.store(count, content);
      const before = new Set(store.nodes.keys());
      assert.ok(root.equals(await store.store(count, content)), "the same content has the same root");
      assert.equal(store.nodes.size, before.size);
      await store.store(count, new Map([...content, [position % count, `changed ${chunk}`]]));
      const levels = count <= MAP_FANOUT ? 1 : 2;
      assert.equal(store.nodes.size - before.size, levels);
    }),
    { numRuns: 30 },
  );
});

test("missing chunks and nodes are reported where they belong, and the rest is still there", async () => {
  const loss = fc.record({ chunk: fc.nat(), node: fc.nat() });
  await fc.assert(
    fc.asyncProperty(volume, loss, async ({ count, content }, pick) => {
      fc.pre(content.size > 0);
      const store = new MemoryStore();
      const root = await store.store(count, content);
      const text = [...content.values()][pick.chunk % content.size] as string;
      const expected = [...idsOf(content)].filter(([position]) => content.get(position) !== text);
      const damaged = await store.without(chunkId(Buffer.from(text))).load(root, count);
      assert.deepEqual([...damaged.content], expected);
      assert.deepEqual(
        damaged.loss.chunks.toSorted((a, b) => a - b),
        [...content.keys()].filter((position) => content.get(position) === text).sort((a, b) => a - b),
      );
      assert.deepEqual(damaged.loss.nodes, []);

      const used = [...new Set([...content.keys()].map((position) => Math.floor(position / MAP_FANOUT)))];
      const lostNode = used[pick.node % used.length] as number;
      const id = chunkId(nodeOf(content, count, lostNode));
      const without = await store.without(id).load(root, count);
      const gone = used
        .filter((node) => chunkId(nodeOf(content, count, node)).equals(id))
        .sort((a, b) => a - b);
      assert.deepEqual(
        without.loss.nodes
          .map(({ position, length }) => ({ position, length }))
          .sort((a, b) => a.position - b.position),
        gone.map((node) => ({
          position: node * MAP_FANOUT,
          length: Math.min(MAP_FANOUT, count - node * MAP_FANOUT),
        })),
      );
      const kept = [...idsOf(content)].filter(
        ([position]) => !gone.includes(Math.floor(position / MAP_FANOUT)),
      );
      assert.deepEqual([...without.content], kept);
    }),
    { numRuns: 40 },
  );
});

test("a lost root loses the whole volume, and the error names the missing chunk", async () => {
  const store = new MemoryStore();
  const content = new Map([[5, "five"]]);
  const root = await store.store(3000, content);
  const { loss, content: loaded } = await store.without(root).load(root, 3000);
  assert.equal(loaded.size, 0);
  assert.deepEqual(
    loss.nodes.map(({ position, length }) => ({ position, length })),
    [{ position: 0, length: 3000 }],
  );
  const error = loss.nodes[0]?.error as { code: string; object: string };
  assert.equal(error.code, "ChunkMissing");
  assert.equal(error.object, root.toString("hex"));
});

test("a node with more or fewer ids than belong there is refused", async () => {
  const ids = Buffer.concat(["a", "b", "c"].map((text) => chunkId(Buffer.from(text))));
  for (const bytes of [2 * CHUNK_ID_BYTES, 3 * CHUNK_ID_BYTES - 1, 1]) {
    const store = new MemoryStore();
    const node = ids.subarray(0, bytes);
    store.storeNode(node);
    const { loss, content } = await store.load(chunkId(node), 3);
    assert.equal(content.size, 0);
    assert.deepEqual(
      loss.nodes.map(({ error, ...where }) => ({ ...where, code: (error as { code: string }).code })),
      [{ position: 0, length: 3, code: "ChunkCorrupt" }],
    );
  }
});

test("a node that cannot be read is reported with the reader's own error", async () => {
  const store = new MemoryStore();
  const root = await store.store(10, new Map([[0, "zero"]]));
  store.nodes.clear();
  const { loss } = await store.load(root, 10);
  assert.match(String(loss.nodes[0]?.error), /this chunk is no node/);
});
