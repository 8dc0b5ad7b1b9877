/**
 * Writes docs/reference/options.md from the help of both programs, which is made of their yargs definitions: run it after `npm run build`
 * when an option has changed. With `--print` it prints the page instead.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../", import.meta.url);
const PAGE = new URL("docs/reference/options.md", ROOT);
const PROGRAMS = { "blockferry-agent": "agent/main.cjs", blockferry: "controller/main.js" };

function help(program, ...command) {
  const path = fileURLToPath(new URL(`dist/programs/${PROGRAMS[program]}`, ROOT));
  // Variables stand in for options, and change the defaults that are shown.
  const env = { PATH: process.env.PATH, LANG: "C.UTF-8" };
  return execFileSync(process.execPath, [path, ...command, "--help"], { encoding: "utf8", env }).trimEnd();
}

/** The help of a program, and of each of its commands. */
function sections(program) {
  const overview = help(program);
  const commands = [...overview.matchAll(new RegExp(`^ {2}${program} ([a-z-]+)`, "gm"))].map(
    ([, name]) => name,
  );
  return [
    section("##", program, overview),
    ...commands.map((command) => section("###", `${program} ${command}`, help(program, command))),
  ];
}

function section(level, title, text) {
  return `${level} ${title}\n\n\`\`\`\n${text}\n\`\`\`\n`;
}

const page = [
  "# Options\n\nEvery command with its options, as `--help` prints them. `node scripts/options-reference.js` makes this page.\n",
  ...Object.keys(PROGRAMS).flatMap((program) => sections(program)),
].join("\n");

if (process.argv.includes("--print")) process.stdout.write(page);
else writeFileSync(PAGE, page);
