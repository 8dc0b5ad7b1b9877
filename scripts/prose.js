/**
 * Counts phrases that read as if they were translated, in comments, docs, messages and titles of tests, and fails above a small bound; the rules are in CONTRIBUTING.md.
 * Prints the places in some files: `node scripts/prose.js agent/backup docs/format.md`, or in all: `node scripts/prose.js .`.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import ts from "typescript";

/** A few are right: a question, a quotation. */
const MOST_ALLOWED = 30;

const VERB_OR_SUBJECT =
  "(?:is|was|are|were|it|they|a|an|the|this|that|these|of|he|one|has|had|can|could|must|may|blockferry|users?|runs?|stands?|fails?)";

const PATTERNS = {
  'a relative clause without a noun ("what it holds"): name the noun': new RegExp(
    `\\b(?:[Ww]hat|(?<!, )[Ww]hatever|[Ww]hoever|[Tt]hose (?:that|who|which)) ${VERB_OR_SUBJECT}\\b|\\b[Ww]hoever\\b|\\b[Tt]hose (?:that|who|which)\\b`,
    "g",
  ),
  '"is no": write "is not a"':
    /(?<!\b[Tt]here )\b(?:is|are|was|were) no\b(?! (?:longer|more|less|later|earlier|one\b))/g,
  '"tell": write "report", "return", "show" or "say"': /\b(?:tells?|told|telling)\b/g,
  'a sentence that begins with "Of"': /(?:[.:;!?]\s+|^\s*(?:\/\*\*|\*|\/\/|#|-)\s+|^)Of\b/gm,
};

const given = process.argv.slice(2);
const listed = execFileSync("git", ["ls-files", ...(given.length > 0 ? given : ["."])], { encoding: "utf8" });
const files = listed
  .split("\n")
  .filter(
    (file) => /\.(md|ts|cts|js|sh)$/.test(file) && file !== "CHANGELOG.md" && file !== "scripts/prose.js",
  );

const found = [];
for (const file of files) {
  const text = proseOf(file, readFileSync(file, "utf8"));
  for (const [what, pattern] of Object.entries(PATTERNS)) {
    for (const { index, 0: phrase } of text.matchAll(pattern)) {
      const line = text.slice(0, index).split("\n").length;
      found.push(`${file}:${line}: ${JSON.stringify(phrase.trim())}: ${what}`);
    }
  }
}
const isFailure = given.length === 0 && found.length > MOST_ALLOWED;
if (isFailure || given.length > 0) console.log(found.join("\n"));
if (isFailure) console.error(`${found.length} phrases to rewrite; ${MOST_ALLOWED} are allowed.`);
process.exitCode = isFailure ? 1 : 0;

/** The text of a file with everything blanked out that is not prose; lines keep their numbers. */
function proseOf(file, text) {
  if (file.endsWith(".md")) return text.replace(/^```[\s\S]*?^```/gm, blank).replace(/`[^`\n]*`/g, blank);
  const comment = file.endsWith(".sh") ? /^\s*#.*$/gm : /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm;
  const comments = [...text.matchAll(comment)].map(({ index, 0: found }) => [index, index + found.length]);
  const ranges = file.endsWith(".sh") ? comments : [...comments, ...sentencesIn(file, text)];
  let prose = "";
  for (const [start, end] of ranges.sort(([a], [b]) => a - b)) {
    if (start < prose.length) continue;
    prose += blank(text.slice(prose.length, start)) + text.slice(start, end);
  }
  return prose;
}

/** The ranges of strings of several words: all of a program, and the titles of tests. */
function sentencesIn(file, text) {
  const ranges = [];
  const isTest = file.startsWith("test/");
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true));
  return ranges;

  function visit(node) {
    if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      if (/\w \w/.test(node.text) && (!isTest || isTitle(node)))
        ranges.push([node.getStart() + 1, node.getEnd() - 1]);
    }
    ts.forEachChild(node, visit);
  }
}

function isTitle(node) {
  let whole = node;
  while (ts.isTemplateSpan(whole.parent) || ts.isTemplateExpression(whole.parent)) whole = whole.parent;
  const { parent: call } = whole;
  return (
    ts.isCallExpression(call) &&
    call.arguments[0] === whole &&
    /^(?:test|describe|rootTest)$/.test(call.expression.getText())
  );
}

function blank(text) {
  return text.replace(/[^\n]/g, " ");
}
