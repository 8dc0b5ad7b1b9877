import { existsSync, readFileSync } from "node:fs";

/**
 * Returns the version of the package that contains this file, bundled or not. yargs would take the package of
 * the current folder.
 */
export function packageVersion(): string {
  let folder = new URL(".", import.meta.url);
  while (!existsSync(new URL("package.json", folder)) && folder.pathname !== "/")
    folder = new URL("..", folder);
  return JSON.parse(readFileSync(new URL("package.json", folder), "utf8")).version;
}
