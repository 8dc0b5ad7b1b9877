import { existsSync, readFileSync } from "node:fs";

/** Of the package that this file is in, bundled or not: yargs guesses from the folder that the program is run in. */
export function packageVersion(): string {
  let folder = new URL(".", import.meta.url);
  while (!existsSync(new URL("package.json", folder)) && folder.pathname !== "/")
    folder = new URL("..", folder);
  return JSON.parse(readFileSync(new URL("package.json", folder), "utf8")).version;
}
