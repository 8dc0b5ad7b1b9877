import assert from "node:assert/strict";
import { test } from "node:test";
import { shellWord } from "../../foundation/shell.js";
import { runTool } from "../support/run-tool.js";

test("a word in a command is the text itself to a shell, whatever is in it", async () => {
  const texts = [
    ...["plain", "s3://bucket/prefix", "arn:aws:kms:eu-central-1:111122223333:key/mrk-1", "/mnt/a,b=c@d"],
    ...[
      "",
      " ",
      "a b",
      "it's",
      "''",
      "'; touch x; '",
      "$(touch x)",
      "`touch x`",
      "$HOME",
      "a\nb",
      "a\\",
      '"',
    ],
    ...["~", "*", "a;b", "a&b", "a|b", "<a>", "#", "!!", "-n", "a\tb", "\\'$(touch x)", "é\u{1f600}"],
  ];
  for (const text of texts) {
    assert.equal(await runTool("sh", "-c", `printf "[%s]" ${shellWord(text)}`), `[${text}]`);
  }
  assert.equal(shellWord("s3://bucket/prefix"), "s3://bucket/prefix", "no quotes where none are needed");
});
