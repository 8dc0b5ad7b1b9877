import assert from "node:assert/strict";
import { test } from "node:test";
import { nbdUri, parseListenAddress } from "../../../agent/nbd/server.js";

test("a server listens on a socket in the file system, or on a loopback address, and its clients get a URI", () => {
  const uris = [
    ["unix:/run/backup.sock", "nbd+unix:///?socket=/run/backup.sock"],
    ["unix:/run/a b&c?d#é.sock", "nbd+unix:///?socket=/run/a%20b%26c%3Fd%23%C3%A9.sock"],
    ["127.0.0.1:10809", "nbd://127.0.0.1:10809"],
    ["127.1.2.3:0", "nbd://127.1.2.3:0"],
    ["localhost:10809", "nbd://127.0.0.1:10809"],
    ["[::1]:10809", "nbd://[::1]:10809"],
  ];
  for (const [text, uri] of uris) assert.equal(nbdUri(parseListenAddress(text as string)), uri);
});

test("a server refuses addresses that other machines can reach, and malformed ones", () => {
  const outside = ["0.0.0.0:10809", "10.0.0.1:10809", "[::]:10809", "example.com:10809", ":10809"];
  for (const text of outside)
    assert.throws(() => parseListenAddress(text), { code: "Usage", message: /other machines/ }, text);
  const nonsense = [
    "",
    "backup.sock",
    "127.0.0.1",
    "127.0.0.1:99999",
    "127.0.0.1:x",
    "unix:",
    `unix:/${"x".repeat(107)}`,
  ];
  for (const text of nonsense)
    assert.throws(() => parseListenAddress(text), { code: "Usage", message: / is not / }, text);
});
