#!/usr/bin/env node
/** Node 20 is supported; the SDK would say each time that some day it will not be. So this comes before it is loaded. */
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
const { runCli } = await import("./cli.js");
await runCli(process.argv.slice(2));
