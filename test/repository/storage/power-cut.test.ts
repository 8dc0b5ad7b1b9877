import assert from "node:assert/strict";
import { copyFile, mkdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { LocalDirectory } from "../../../repository/storage/local-directory.js";
import { withBtrfs, withMount } from "../../support/mounts.js";
import { SeededRandom } from "../../support/random.js";
import { rootTest } from "../../support/root-test.js";
import { runTool } from "../../support/run-tool.js";
import { tempFolder } from "../../support/temp-folder.js";

const MIB = 1024 * 1024;
const PACK = "packs/3f/3f00";

/**
 * What a power cut leaves of a pack whose writer was killed between giving it its name and syncing that: btrfs puts a
 * name on the disk only when somebody syncs its folder, or at the next commit.
 */
async function survivesPowerCut(meanwhile: (storage: LocalDirectory) => Promise<void>): Promise<boolean> {
  const folder = await tempFolder();
  const [disk, snapshot] = [join(folder, "disk.img"), join(folder, "snapshot.img")];
  await withBtrfs(disk, 128 * MIB, join(folder, "mounted"), async (mounted) => {
    const storage = new LocalDirectory(join(mounted, "repo"));
    await storage.put("tmp/pack", new SeededRandom("pack").bytes(MIB));
    await mkdir(join(storage.name, "packs", "3f"), { recursive: true });
    await runTool("sync", "--file-system", mounted);
    await rename(join(storage.name, "tmp", "pack"), join(storage.name, PACK));
    await meanwhile(storage);
    await copyFile(disk, snapshot);
  });
  return withMount(join(folder, "after"), ["-o", "loop", snapshot], async (mounted) => {
    const found = await stat(join(mounted, "repo", PACK)).catch(() => undefined);
    return found?.size === MIB;
  });
}

rootTest("a pack whose name was never synced survives a power cut once it was made durable", async () => {
  assert.equal(
    await survivesPowerCut(async () => undefined),
    false,
    "the cut comes before the name is on disk",
  );
  assert.equal(await survivesPowerCut((storage) => storage.makeDurable([PACK])), true);
});

rootTest("what was put survives a power cut", async () => {
  const rest = async (storage: LocalDirectory) => storage.put(PACK, new SeededRandom("put").bytes(MIB));
  assert.equal(await survivesPowerCut(rest), true);
});
