import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LocalDirectory } from "../../../repository/storage/local/local-directory.js";
import { withBtrfs, withMount } from "../../support/mounts.js";
import { SeededRandom } from "../../support/random.js";
import { rootTest } from "../../support/root-test.js";
import { runTool } from "../../support/run-tool.js";
import { tempFolder } from "../../support/temp-folder.js";
import { needing } from "../../support/tools.js";

const MIB = 1024 * 1024;
const PACK = "packs/3f/3f00";

/**
 * Returns whether a pack survives a power cut after its writer was killed between the rename and its sync.
 * btrfs writes a name to the disk only at a sync of its folder, or at the next commit.
 * @param durableFolder the folder that is durable before; the folders below it are made afterwards, as by a
 * writer that is then killed
 */
async function survivesPowerCut(
  meanwhile: (storage: LocalDirectory) => Promise<void>,
  durableFolder = dirname(PACK),
): Promise<boolean> {
  const folder = await tempFolder();
  const [disk, snapshot] = [join(folder, "disk.img"), join(folder, "snapshot.img")];
  await withBtrfs(disk, 128 * MIB, join(folder, "mounted"), async (mounted) => {
    const storage = new LocalDirectory(join(mounted, "repo"));
    await storage.put("tmp/pack", new SeededRandom("pack").bytes(MIB));
    await mkdir(join(storage.name, durableFolder), { recursive: true });
    await runTool("sync", "--file-system", mounted);
    await mkdir(join(storage.name, dirname(PACK)), { recursive: true });
    await rename(join(storage.name, "tmp", "pack"), join(storage.name, PACK));
    await meanwhile(storage);
    await copyFile(disk, snapshot);
  });
  return withMount(join(folder, "after"), ["-o", "loop", snapshot], async (mounted) => {
    const found = await stat(join(mounted, "repo", PACK)).catch(() => undefined);
    return found?.size === MIB;
  });
}

rootTest(
  "a pack whose name was never synced survives a power cut once it was made durable",
  needing("mkfs.btrfs"),
  async () => {
    assert.equal(
      await survivesPowerCut(async () => undefined),
      false,
      "the cut comes before the name is on disk",
    );
    assert.equal(await survivesPowerCut((storage) => storage.makeDurable([PACK])), true);
  },
);

rootTest("a stored object survives a power cut", needing("mkfs.btrfs"), async () => {
  const rest = async (storage: LocalDirectory) => storage.put(PACK, new SeededRandom("put").bytes(MIB));
  assert.equal(await survivesPowerCut(rest), true);
  for (const durable of ["packs", "."])
    assert.equal(
      await survivesPowerCut(rest, durable),
      true,
      `folders below ${durable} were made by a killed writer`,
    );
});

rootTest(
  "the name of a folder that another process made is synced before an object below it counts as stored",
  needing("strace"),
  async () => {
    const repo = join(await tempFolder(), "repo");
    await mkdir(join(repo, dirname(PACK)), { recursive: true });
    const module = new URL("../../../repository/storage/local/local-directory.js", import.meta.url).href;
    const program = `import { LocalDirectory } from ${JSON.stringify(module)};
    await new LocalDirectory(${JSON.stringify(repo)}).put(${JSON.stringify(PACK)}, Buffer.from("pack"));`;
    const trace = join(repo, "..", "trace");
    const options = ["--follow-forks", "--decode-fds=path", "--trace=fsync", `--output=${trace}`];
    await runTool("strace", ...options, process.execPath, "--input-type=module", "--eval", program);
    const synced = (await readFile(trace, "utf8")).matchAll(/fsync\(\d+<([^>]*)>/g);
    const paths = new Set(Array.from(synced, ([, path]) => path));
    for (const folder of ["packs/3f", "packs", ""])
      assert.ok(paths.has(join(repo, folder).replace(/\/$/, "")), `${folder}: ${[...paths]}`);
  },
);
