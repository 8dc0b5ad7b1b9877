import { BlockferryError, throwIfInterrupted } from "../../foundation/errors.js";
import { type ChunkReader, NODE_READS, nodeSpans } from "../format/block-map.js";
import { CHUNK_ID_BYTES, chunkCount, ZERO_CHUNK_ID } from "../format/chunk.js";
import type { RecoveryPoint } from "../format/recovery-point.js";

const NOBODY = 0;
/** Marks a chunk with more than one owner. */
const SEVERAL = 0xffff_ffff;

/**
 * Finds the owners of each chunk.
 * @param owners the volumes of each owner; an owner is an index in this array
 * @throws ChunkMissing, ChunkCorrupt when a block map cannot be read completely; Interrupted
 */
export async function findOwners(
  chunks: ChunkReader,
  owners: Pick<RecoveryPoint, "volumes">[],
  signal: AbortSignal,
): Promise<ChunkOwners> {
  const found = new ChunkOwners({
    index: chunks.index,
    read: (entry) => {
      throwIfInterrupted(signal);
      return chunks.read(entry);
    },
  });
  for (const [owner, { volumes }] of owners.entries()) {
    for (const { root, sizeBytes } of volumes) {
      await found.add(Buffer.from(root, "hex"), chunkCount(sizeBytes), owner);
    }
  }
  return found;
}

/**
 * Finds every chunk in block maps, and its owner. The owner is known if it is the only one. Takes 4 bytes a
 * chunk, and the same again for each level of nodes. A node is read once, or twice if it has several owners,
 * however many.
 */
export class ChunkOwners {
  private readonly owners: Uint32Array;
  /**
   * Owners of nodes by level, the lowest first: the same bytes may be a node on one level
   * and data on another.
   */
  private readonly nodeOwners: Uint32Array[] = [];

  constructor(private readonly chunks: ChunkReader) {
    this.owners = new Uint32Array(chunks.index.size);
  }

  /** Returns whether any owner needs the chunk or node of an index entry. */
  isNeeded(entry: number): boolean {
    return this.owners[entry] !== NOBODY;
  }

  /** Returns the only owner that needs it; undefined with no owner or several. */
  soleOwner(entry: number): number | undefined {
    const owner = this.owners[entry] as number;
    return owner === NOBODY || owner === SEVERAL ? undefined : owner - 1;
  }

  /**
   * Adds the chunks and nodes of a volume.
   * @param root of its block map
   * @param count chunks in the volume
   * @param owner a whole number from 0
   * @throws ChunkMissing, ChunkCorrupt when the block map cannot be read completely
   */
  async add(root: Buffer, count: number, owner: number): Promise<void> {
    if (count === 0) return;
    let level = nodeSpans(count).length - 1;
    let nodes = this.claimNodes([{ ids: root, owner: owner + 1 }], level);
    for (; level >= 0; level--) {
      const children = await this.readAll(nodes);
      if (level === 0) for (const child of children) this.claimChunks(child);
      else nodes = this.claimNodes(children, level - 1);
    }
  }

  private async readAll(nodes: ClaimedNode[]): Promise<Children[]> {
    const queue = [...nodes];
    const children: Children[] = [];
    const readNext = async () => {
      for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
        children.push({ ids: await this.chunks.read(node.entry), owner: node.owner });
      }
    };
    await Promise.all(Array.from({ length: Math.min(NODE_READS, queue.length) }, readNext));
    return children;
  }

  /** Returns the nodes whose children have not yet been added for this owner, or not for several owners. */
  private claimNodes(parents: Children[], level: number): ClaimedNode[] {
    const owners = this.nodeOwners[level] ?? new Uint32Array(this.chunks.index.size);
    this.nodeOwners[level] = owners;
    const claimed: ClaimedNode[] = [];
    for (const parent of parents) {
      for (const entry of this.entriesOf(parent.ids)) {
        claim(this.owners, entry, parent.owner);
        if (claim(owners, entry, parent.owner)) claimed.push({ entry, owner: owners[entry] as number });
      }
    }
    return claimed;
  }

  private claimChunks({ ids, owner }: Children): void {
    for (const entry of this.entriesOf(ids)) claim(this.owners, entry, owner);
  }

  private *entriesOf(ids: Buffer): Iterable<number> {
    for (let at = 0; at < ids.length; at += CHUNK_ID_BYTES) {
      const id = ids.subarray(at, at + CHUNK_ID_BYTES);
      if (id.equals(ZERO_CHUNK_ID)) continue;
      const entry = this.chunks.index.find(id);
      if (entry < 0) throw chunkMissing(id);
      yield entry;
    }
  }
}

interface ClaimedNode {
  entry: number;
  owner: number;
}

/** The ids in a node, and the owner of each. */
interface Children {
  ids: Buffer;
  owner: number;
}

/** Adds an owner of an entry. @returns whether that changed the recorded owner */
function claim(owners: Uint32Array, entry: number, owner: number): boolean {
  const before = owners[entry] as number;
  if (before === owner || before === SEVERAL) return false;
  owners[entry] = before === NOBODY ? owner : SEVERAL;
  return true;
}

export function chunkMissing(id: Buffer): BlockferryError {
  return new BlockferryError({
    code: "ChunkMissing",
    message: `A recovery point needs chunk ${id.toString("hex")}, which is in no pack of the repository.`,
    remedy:
      "Run `blockferry-agent verify` to see which point; restore the missing pack, or forget the point.",
    object: id.toString("hex"),
  });
}
