/** Remedies for a damaged object, by its key. */
const REMEDIES: readonly { keys: RegExp; remedy: string }[] = [
  {
    keys: /^index\//,
    remedy:
      "Nothing is lost: every pack lists its own chunks. Run `blockferry-agent repair index`, which replaces it.",
  },
  {
    keys: /^(locks|prune)\//,
    remedy:
      "No recovery point needs it. Run `blockferry-agent repair documents`, which moves it aside; until then `prune` keeps everything that it could protect.",
  },
  {
    keys: /^points\//,
    remedy:
      "Bring it back from a replica or an earlier version in the bucket. If there is none, `blockferry-agent repair documents` moves it aside; until then `prune` removes nothing.",
  },
  {
    keys: /^keys\//,
    remedy:
      "Bring it back from a replica or an earlier version in the bucket, or use another key and remove this one: blockferry-agent key remove",
  },
  {
    keys: /^/,
    remedy: "Bring the object back from a replica or an earlier version in the bucket, if there is one.",
  },
];

export function damagedRemedy(key: string): string {
  return (REMEDIES.find(({ keys }) => keys.test(key)) as { remedy: string }).remedy;
}
