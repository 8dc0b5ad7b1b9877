import { BlockferryError } from "../../foundation/errors.js";
import { pointIdOf, pointKey } from "../../repository/format/recovery-point.js";
import { type PointList, pointObjects } from "../../repository/points/points.js";
import {
  listTombstones,
  type Tombstone,
  type TombstoneKey,
  tombstoneKey,
} from "../../repository/points/tombstone.js";
import type { Storage } from "../../repository/storage/storage.js";

/**
 * Finds recovery points that were changed without `forget`.
 * - removed: another point names it as previous, and it is gone without a tombstone
 * - replaced: its hash differs from the one that another point names
 * - returned: it exists although it was forgotten
 * @param key if given, a tombstone it has not signed does not count and is a problem
 * @throws the errors of asking KMS about the key
 */
export async function verifyHistory(
  storage: Storage,
  list: PointList,
  key: TombstoneKey | undefined,
): Promise<{ problems: BlockferryError[]; uncheckedTombstones: number }> {
  const { tombstones, unproven, damaged, unchecked } = await listTombstones(storage, key);
  const unreadable = new Set([...list.damaged, ...damaged].map(({ object = "" }) => object));
  const problems = new Map<string, BlockferryError>();
  const successors = [...list.points, ...tombstones.values()];
  for (const { previous } of successors) {
    if (previous === undefined || previous === null) continue;
    const { id } = previous;
    const sha256 = list.stored.get(id)?.sha256 ?? tombstones.get(id)?.sha256;
    const isUnreadable = unreadable.has(pointKey(id)) || unreadable.has(tombstoneKey(id));
    if (sha256 === undefined && !isUnreadable && !unproven.has(id)) problems.set(id, removed(id));
    if (typeof sha256 === "string" && sha256 !== previous.sha256) problems.set(id, replaced(id));
  }
  // Listed again: `forget` may have removed points since the first listing.
  const present = new Set((await pointObjects(storage)).map(({ key }) => pointIdOf(key)));
  for (const [id, { forgottenAt }] of tombstones) {
    const isThere = present.has(id);
    if (isThere && !problems.has(id)) problems.set(id, returned(id, forgottenAt));
  }
  const doubted = [...unproven].map(([id, tombstone]) =>
    provesNothing(id, tombstone, { isThere: present.has(id), arn: key?.key.arn ?? "" }),
  );
  return { problems: [...damaged, ...doubted, ...problems.values()], uncheckedTombstones: unchecked };
}

const LOOK =
  "Find out who changed the repository, and restore the point from a replica or an earlier version in the bucket.";

function removed(id: string): BlockferryError {
  return new BlockferryError({
    code: "PointRemoved",
    message: `Recovery point ${id} is gone, and \`forget\` did not remove it: another point names it, and it has no tombstone.`,
    remedy: LOOK,
    object: pointKey(id),
  });
}

function replaced(id: string): BlockferryError {
  return new BlockferryError({
    code: "PointReplaced",
    message: `Recovery point ${id} is not the one that another point names as previous: it was replaced or rolled back.`,
    remedy: LOOK,
    object: pointKey(id),
  });
}

function returned(id: string, forgottenAt: string): BlockferryError {
  return new BlockferryError({
    code: "PointReturned",
    message: `Recovery point ${id} was forgotten at ${forgottenAt}, but is there: \`forget\` was interrupted, or someone put the point back.`,
    remedy: `If you forgot it, do so again: blockferry-agent forget ${id}. If not, keep it, find out who wrote ${tombstoneKey(id)}, and remove that object.`,
    object: pointKey(id),
  });
}

interface Doubt {
  /** Whether the point exists. */
  isThere: boolean;
  /** ARN of the key that should have signed the tombstone. */
  arn: string;
}

function provesNothing(id: string, { signature }: Tombstone, { isThere, arn }: Doubt): BlockferryError {
  const reason =
    signature === undefined
      ? `it is not signed, and with --tombstone-key it must be signed with ${arn}`
      : `its signature was not made with ${arn} for this repository, point and content. It claims to be made with ${signature.keyArn}`;
  return new BlockferryError({
    code: signature === undefined ? "TombstoneUnsigned" : "ObjectCorrupt",
    message: `Recovery point ${id} is ${isThere ? "there" : "gone"}, and has a tombstone that proves nothing: ${reason}.`,
    remedy: isThere
      ? `Keep the point, unless you were about to forget it. Find out who wrote ${tombstoneKey(id)}, and remove that object.`
      : `${LOOK} If you forgot it yourself, sign its tombstone: blockferry-agent forget ${id} --tombstone-key ${arn}`,
    object: tombstoneKey(id),
    ...(signature === undefined ? {} : { offset: 0 }),
  });
}
