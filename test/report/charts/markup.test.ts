import assert from "node:assert/strict";
import { test } from "node:test";
import { markup } from "../../../report/charts/plot.js";
import { figuresOf, page } from "../../../report/page.js";

test("text is escaped, markup is not, and control characters are replaced", () => {
  const hostile = `<b title='"'>&\u0000\u001b[31m`;
  assert.equal(
    markup`<p title="${hostile}">${[markup`<i>`, "<i>"]}${1 / 3}</p>`.text,
    '<p title="&lt;b title=&#39;&quot;&#39;&gt;&amp;\ufffd\ufffd[31m"><i>&lt;i&gt;0.33</p>',
  );
});

test("figures come out of a page as they went in, whatever is in them, and end no element", () => {
  const figures = { name: `</script><script>alert("1")</script><!--`, list: [1, null] };
  const { text } = page({ title: "</title>", content: [], figures });
  assert.deepEqual(figuresOf(text), figures);
  assert.equal(text.match(/<script/g)?.length, 1);
  assert.equal(text.match(/<\/title>/g)?.length, 1);
});
