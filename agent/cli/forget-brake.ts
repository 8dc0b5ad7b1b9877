import { canAsk, confirm } from "../../command-line/confirm.js";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { type RetentionGroup, severeGroups } from "../../repository/retention.js";

/** The most points listed by id for each group. */
const MAX_NAMED = 20;

/**
 * Stops retention rules that would forget more than half of a group.
 * It asks on a terminal and refuses elsewhere. Forged points, a wrong clock and a mistyped rule all have this
 * effect.
 * @throws ForgetBraked, Interrupted
 */
export async function brake(groups: readonly RetentionGroup[], yes: boolean): Promise<void> {
  const severe = yes ? [] : severeGroups(groups);
  if (severe.length === 0) return;
  const lines = severe.flatMap(describeGroup);
  const message = `The rules would forget more than half of the points of ${severe.length === 1 ? "a group" : `${severe.length} groups`}; nothing was forgotten.`;
  if (canAsk() && (await confirm(lines, "Forget these points?"))) return;
  throw new BlockferryError({
    code: "ForgetBraked",
    message,
    details: lines,
    remedy:
      "Look at these points and at those that stay (--dry-run shows both). If it is right, run the command again with --yes.",
  });
}

function describeGroup({ name, verdicts }: RetentionGroup): string[] {
  const forgotten = verdicts.filter(({ keptBy }) => keptBy.length === 0).map(({ point }) => point.id);
  const rest = forgotten.length - MAX_NAMED;
  return [
    `${name}: ${forgotten.length} of ${verdicts.length} points`,
    ...forgotten.slice(0, MAX_NAMED).map((id) => `  ${id}`),
    ...(rest > 0 ? [`  ... and ${rest} more`] : []),
  ];
}
