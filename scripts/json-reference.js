/**
 * Writes docs/reference/json.md, and a JSON Schema for each command below docs/reference/json/, from the zod schemas
 * of the results: run it after `npx tsc --build` when a schema has changed. With `--check` it writes nothing, and names
 * the files that are not current.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import * as z from "zod/mini";
import { AGENT_OUTPUTS } from "../dist/agent/cli/outputs.js";
import { FailureSchema } from "../dist/command-line/outputs.js";
import { CONTROLLER_OUTPUTS } from "../dist/controller/cli/outputs.js";

const FOLDER = new URL("../docs/reference/", import.meta.url);

const PROGRAMS = [
  { title: "The agent", program: "blockferry-agent", outputs: AGENT_OUTPUTS },
  { title: "The controller", program: "blockferry", outputs: CONTROLLER_OUTPUTS },
];

const INTRODUCTION = `# Output for machines

With \`--json\` a command prints one line of JSON on standard output: its result, or an [error](#errors). Progress and
notes go to standard error. Progress is a bar on a terminal and a line every ten seconds elsewhere; with \`--json\` there
is none. The first note of the controller's \`backup\` names the job.

- Each result has a JSON Schema (draft 2020-12) in [json/](json). The schemas and this page come from the schemas in the
  code, which the tests parse real output with: \`node scripts/json-reference.js\` makes them.
- A field that is not optional is always there. A schema lists all fields of this version. A later version may add
  fields, so programs should ignore fields that they do not know.
- Times are in ISO 8601, UTC.
`;

/** The largest whole number that JSON readers represent exactly: zod's bound of integers, which says nothing here. */
const { MAX_SAFE_INTEGER } = Number;

function jsonSchemaOf(schema) {
  return z.toJSONSchema(schema, {
    override: ({ jsonSchema }) => {
      if (jsonSchema.minimum === -MAX_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      // The format says as much.
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
      delete jsonSchema.id;
      delete jsonSchema.propertyNames;
      delete jsonSchema.readOnly;
    },
  });
}

/** The objects that several results have, by name. */
const shared = {};

/** Returns the JSON Schema of a result, and the name and text of its file. Adds to `shared`. */
function resultOf(program, command, schema) {
  const { $schema, $defs = {}, ...json } = jsonSchemaOf(schema);
  Object.assign(shared, $defs);
  const file = `json/${program}/${command.replaceAll(/[^A-Za-z]+/g, "-").toLowerCase()}.json`;
  const title = `${program} ${command} --json`;
  const complete = { $schema, title, ...json, ...(Object.keys($defs).length === 0 ? {} : { $defs }) };
  return { command, json, file, text: `${JSON.stringify(withoutLinks(complete), null, 2)}\n` };
}

function section(heading, { file, json }) {
  return `${heading}\n\n[Schema](${file})\n\n${describe(json)}`;
}

/** Returns the schema with descriptions that do not link: links lead from the page. */
function withoutLinks(json) {
  return JSON.parse(JSON.stringify(json), (key, value) =>
    key === "description" && typeof value === "string"
      ? value.replaceAll(/\[([^\]]+)\]\([^)]+\)/g, "$1")
      : value,
  );
}

/** Returns a table of the fields; one for each alternative. */
function describe(json) {
  if (json.anyOf !== undefined) return json.anyOf.map(describe).join("\n");
  const base = baseOf(json);
  const sentences = [json.description, base && `All fields of ${linkTo(base)}, and these`].filter(Boolean);
  const text = sentences.map((sentence) => `${sentence}.\n\n`).join("");
  const rows = rowsOf(json, "").map(
    (cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`,
  );
  return `${text}| field | type | |\n|---|---|---|\n${rows.join("")}`;
}

/** Returns the name of the shared object whose fields an object has in addition to its own. */
function baseOf({ properties = {} }) {
  const isPartOf = (base) =>
    Object.entries(base).every(([name, field]) => JSON.stringify(properties[name]) === JSON.stringify(field));
  const own = Object.keys(properties).length;
  return Object.keys(shared).find((name) => {
    const base = shared[name].properties;
    return Object.keys(base).length < own && isPartOf(base);
  });
}

function rowsOf(json, prefix) {
  const { properties = {}, required = [] } = json;
  const known = shared[baseOf(json)]?.properties ?? {};
  const own = Object.entries(properties).filter(([name]) => known[name] === undefined);
  return own.flatMap(([name, field]) => {
    if (field.description === undefined) throw new Error(`${prefix}${name} has no description.`);
    const type = `${typeOf(field)}${required.includes(name) ? "" : ", optional"}`;
    return [[`\`${prefix}${name}\``, type, field.description], ...nestedRows(field, `${prefix}${name}`)];
  });
}

function nestedRows(field, path) {
  if (field.$ref !== undefined) return [];
  if (field.type === "array") return nestedRows(field.items, `${path}[]`);
  const alternatives = field.anyOf ?? field.oneOf;
  if (alternatives !== undefined) return alternatives.flatMap((one) => nestedRows(one, path));
  return rowsOf(field, `${path}.`);
}

const FORMATS = { uuid: "UUID", "date-time": "time" };

function typeOf(field) {
  if (field.$ref !== undefined) return linkTo(field.$ref.slice("#/$defs/".length));
  const alternatives = field.anyOf ?? field.oneOf;
  if (alternatives !== undefined) return [...new Set(alternatives.map(typeOf))].join(" or ");
  if (field.const !== undefined) return `\`${JSON.stringify(field.const)}\``;
  if (field.enum !== undefined) {
    return field.enum.length > 20
      ? "string"
      : field.enum.map((value) => `\`${JSON.stringify(value)}\``).join(" or ");
  }
  if (field.type === "array") return `array of ${typeOf(field.items)}`;
  if (field.type === "object" && field.properties === undefined) {
    const type = typeOf(field.additionalProperties);
    return `object of ${type.startsWith("object") ? "objects" : type}`;
  }
  if (Array.isArray(field.type)) return field.type.join(" or ");
  const base = baseOf(field);
  return base === undefined ? (FORMATS[field.format] ?? field.type) : `${linkTo(base)} with more fields`;
}

function linkTo(name) {
  return `[${name}](#${name.toLowerCase()})`;
}

const failure = resultOf("blockferry", "error", FailureSchema);
const programs = PROGRAMS.map(({ title, program, outputs }) => ({
  title,
  results: Object.entries(outputs).map(([command, schema]) => resultOf(program, command, schema)),
}));

const files = Object.fromEntries(
  [failure, ...programs.flatMap(({ results }) => results)].map(({ file, text }) => [file, text]),
);
files["json.md"] = [
  INTRODUCTION,
  section("## Errors", failure),
  ...programs.flatMap(({ title, results }) => [
    `## ${title}\n`,
    ...results.map((result) => section(`### \`${result.command}\``, result)),
  ]),
  "## Objects\n\nResults refer to these.\n",
  ...Object.keys(shared)
    .toSorted()
    .map((name) => `### ${name}\n\n${describe(shared[name])}`),
].join("\n");

const existing = readdirSync(new URL("json/", FOLDER), { recursive: true })
  .filter((name) => name.endsWith(".json"))
  .map((name) => `json/${name}`);
const stale = existing.filter((name) => files[name] === undefined);

function current(name) {
  try {
    return readFileSync(new URL(name, FOLDER), "utf8");
  } catch {
    return undefined;
  }
}

if (process.argv.includes("--check")) {
  const wrong = [...stale, ...Object.keys(files).filter((name) => current(name) !== files[name])];
  for (const name of wrong) console.log(`docs/reference/${name}`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
} else {
  for (const name of stale) rmSync(new URL(name, FOLDER));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(fileURLToPath(new URL(name, FOLDER))), { recursive: true });
    writeFileSync(new URL(name, FOLDER), text);
  }
}
