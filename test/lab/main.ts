/** `npm run lab`: starts a simulated AWS to try blockferry by hand. */

import { once } from "node:events";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { AGENT } from "../support/agent.js";
import { type Lab, openLab, type Population, populate, REPOSITORY } from "./lab.js";

const CONTROLLER = fileURLToPath(new URL("../../programs/controller/main.js", import.meta.url));

console.log("Starting AWS in a box: two accounts, three instances with two volumes each, two workers ...");
const lab = await openLab();
try {
  printCommands(lab, await populate(lab));
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
} finally {
  console.log("\nRemoving instances, loop devices and disks ...");
  await lab.stop();
}

function printCommands({ env, folder }: Lab, population: Population): void {
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${value}`);
  const blockferry = (command: string, ...options: string[]) =>
    [`node ${here(CONTROLLER)} ${command} --repo ${REPOSITORY}`, ...options].join(" \\\n  ");
  const backup = (instance: string, ...options: string[]) =>
    blockferry("backup", `--instance ${instance}`, ...options);
  const { customerKey, defaultKey, unencrypted, workerId, sourceWorkerId, bridgeKey } = population;
  const across = ["--source-profile source", "--worker-aws-profile worker", `--worker ${workerId}`];
  const atHome = ["--source-profile source", "--worker-account source", `--worker ${sourceWorkerId}`];
  console.log(`
In another terminal, in this folder:

unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
${exports.join("\n")}

# 1. Across accounts: a snapshot encrypted with a customer managed key, shared with the worker's account
${backup(customerKey.instanceId, ...across)}

# 2. Across accounts from aws/ebs, which can't be shared: refused without --bridge-key
${backup(defaultKey.instanceId, ...across, `--bridge-key ${bridgeKey}`)}

# 3. In the instance's own account, with a page of what the agent did
${backup(defaultKey.instanceId, ...atHome, `--report ${folder}/backup.html`)}

# 4. Back to new volumes beside the old ones
${blockferry("restore", "--point latest", ...atHome)}

# An unencrypted instance, after looking at the steps only
${backup(unencrypted.instanceId, ...across).replace(" backup ", " check ")}

# What the repository has
node ${here(AGENT)} list --repo ${REPOSITORY}

Disks and the agents' logs: ${folder}. Ctrl-C here removes everything.`);
}

function here(path: string): string {
  return relative(process.cwd(), path);
}
