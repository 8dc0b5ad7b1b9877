import type { Statement } from "./policy-document.js";

/** One action on one resource. */
export interface Permission extends Pick<Statement, "Sid" | "Condition"> {
  action: string;
  resource: string;
}

/** Merges permissions into as few statements as possible, each permission once. */
export function groupStatements(permissions: Permission[]): Statement[] {
  const places = grouped(permissions, ({ resource, Sid, Condition }) => [resource, Sid, Condition]).map(
    ([first, all]) => ({ ...first, actions: [...new Set(all.map(({ action }) => action))] }),
  );
  const alike = grouped(places, ({ actions, Sid, Condition }) => [[...actions].sort(), Sid, Condition]);
  return alike.map(([{ Sid, actions, Condition }, all]) => ({
    ...(Sid === undefined ? {} : { Sid }),
    ...{ Effect: "Allow" as const, Action: actions, Resource: all.map(({ resource }) => resource) },
    ...(Condition === undefined ? {} : { Condition }),
  }));
}

/** Groups items by key, in the order of each key's first item. */
function grouped<T>(items: T[], keyOf: (item: T) => unknown): [first: T, all: T[]][] {
  const groups = new Map<string, [T, T[]]>();
  for (const item of items) {
    const key = JSON.stringify(keyOf(item));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item, [item]]);
    else group[1].push(item);
  }
  return [...groups.values()];
}
