import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { proxyFor } from "../../../../repository/storage/s3/proxies.js";

const PROXY = "http://proxy.example.com:3128";

function addressOf(text: string) {
  const { protocol, hostname, port } = new URL(text);
  return { protocol, hostname, port: port === "" ? undefined : Number(port) };
}

const nameFor = (url: string, env: NodeJS.ProcessEnv) => proxyFor(addressOf(url), env)?.name;

describe("the proxy of a request", () => {
  const NAMED: [env: NodeJS.ProcessEnv, http: string | undefined, https: string | undefined][] = [
    [{}, undefined, undefined],
    [{ HTTPS_PROXY: PROXY }, undefined, `${PROXY} (HTTPS_PROXY)`],
    [{ http_proxy: PROXY, https_proxy: "" }, `${PROXY} (http_proxy)`, undefined],
    [
      { HTTP_PROXY: PROXY, ALL_PROXY: "https://all:8443" },
      `${PROXY} (HTTP_PROXY)`,
      "https://all:8443 (ALL_PROXY)",
    ],
    [
      { https_proxy: "https://first", HTTPS_PROXY: PROXY, HTTP_PROXY: "" },
      undefined,
      "https://first (https_proxy)",
    ],
    // Without a protocol, as for curl, and with credentials, which no message shows.
    [
      { all_proxy: "proxy:3128", HTTP_PROXY: "http://me:p%40ss@[::1]:80/" },
      "http://[::1] (HTTP_PROXY)",
      "http://proxy:3128 (all_proxy)",
    ],
  ];
  for (const [env, http, https] of NAMED) {
    test(`is named by ${JSON.stringify(env)}`, () => {
      assert.equal(nameFor("http://s3.example.com", env), http);
      assert.equal(nameFor("https://s3.example.com", env), https);
    });
  }

  test("is none for this machine, whatever the environment names", () => {
    for (const host of ["localhost", "LocalHost:9000", "127.0.0.1", "127.8.9.10:80", "[::1]:9000"]) {
      const env = { HTTP_PROXY: PROXY, HTTPS_PROXY: PROXY };
      assert.equal(nameFor(`http://${host}`, env), undefined, host);
      assert.equal(nameFor(`https://${host}`, env), undefined, host);
    }
  });

  const EXEMPT: [list: string, hosts: string[], others: string[]][] = [
    ["*", ["s3.example.com", "192.0.2.1"], []],
    ["example.com", ["example.com", "s3.EXAMPLE.com", "a.b.example.com."], ["myexample.com", "example.org"]],
    [".example.com, 10.0.0.0/8", ["s3.example.com", "10.1.2.3"], ["s3.example.org", "11.0.0.1"]],
    ["*.example.com", ["s3.example.com"], ["example.net"]],
    ["example.com:8443 other", ["example.com:8443", "other"], ["example.com", "example.com:9000"]],
    ["example.com:443", ["example.com"], ["example.com:444"]],
    ["192.0.2.1,2001:db8::1", ["192.0.2.1", "[2001:db8::1]:9000"], ["192.0.2.11", "[2001:db8::2]"]],
    ["2001:db8::/32 10.0.0.0/99 0.2", ["[2001:db8:1::1]"], ["[2001:db9::1]", "10.0.0.1", "192.0.0.2"]],
  ];
  for (const [list, hosts, others] of EXEMPT) {
    test(`is none for hosts that NO_PROXY covers: ${list}`, () => {
      for (const env of [
        { HTTPS_PROXY: PROXY, NO_PROXY: list },
        { HTTPS_PROXY: PROXY, no_proxy: list, NO_PROXY: "none" },
      ]) {
        for (const host of hosts) assert.equal(nameFor(`https://${host}`, env), undefined, host);
        for (const host of others) assert.notEqual(nameFor(`https://${host}`, env), undefined, host);
      }
    });
  }

  for (const value of [
    ...["socks5://proxy:1080", "http://", "http://user:50%@proxy:3128", "http://user:1#2@proxy:3128"],
    ...["http://proxy:3128/path", "http://proxy:99999", "ftp://proxy"],
  ]) {
    test(`is refused where the variable is not the URL of a proxy: ${value}`, () => {
      const find = () => nameFor("https://s3.example.com", { HTTPS_PROXY: value });
      assert.throws(find, (error: Error & { code: string }) => {
        assert.equal(error.code, "Usage");
        assert.match(error.message, /^HTTPS_PROXY is not the URL/);
        return !error.message.includes(value);
      });
      assert.equal(nameFor("http://s3.example.com", { HTTPS_PROXY: value }), undefined);
    });
  }
});
