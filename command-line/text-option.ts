import { once, repeated } from "./options.js";

export function text<Name extends string>(group: string, name: Name, describe: string) {
  return { type: "string", group, requiresArg: true, coerce: once(name), describe } as const;
}

export function texts<Name extends string>(group: string, name: Name, describe: string) {
  return { type: "string", group, requiresArg: true, coerce: repeated(name), describe } as const;
}

export function number<Name extends string>(group: string, name: Name, describe: string) {
  return { type: "number", group, requiresArg: true, coerce: once(name), describe } as const;
}
