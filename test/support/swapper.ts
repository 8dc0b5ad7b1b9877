import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";

/** A script that replaces every new file in `folder` by a link to `victim`, as the user `nobody`. */
const SCRIPT = `
my ($folder, $victim) = @ARGV;
chdir $folder or die;
$| = 1;
print "ready";
while (getppid() != 1) {
  for (grep { !/^moved/ && !-l && !-d } glob "* .*") {
    rename($_, "moved-$_") and symlink($victim, $_);
  }
}
`;

/** Runs `use` while the script runs. Needs root and Perl. */
export async function withSwapper(folder: string, victim: string, use: () => Promise<void>): Promise<void> {
  const args = ["--reuid=65534", "--regid=65534", "--clear-groups", "perl", "-e", SCRIPT, folder, victim];
  const child = spawn("setpriv", args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "close");
  await Promise.race([
    once(child.stdout, "data"),
    ended.then(() => assert.fail("the swapper did not start")),
  ]);
  try {
    await use();
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}
