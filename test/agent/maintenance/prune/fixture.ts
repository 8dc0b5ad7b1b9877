import assert from "node:assert/strict";
import { join } from "node:path";
import { backup } from "../../../../agent/backup/backup.js";
import type { PruneReport } from "../../../../agent/maintenance/prune.js";
import type { RecoveryPoint } from "../../../../repository/format/recovery-point.js";
import { openRepository } from "../../../../repository/open/repository.js";
import { agentJson } from "../../../support/agent.js";
import type { SeededRandom } from "../../../support/random.js";
import { overwriteAtRandom, writeRandomFile } from "../../../support/random-files.js";
import {
  assertRestores,
  assertWhole,
  backUp,
  bytesBelow,
  filesBelow,
  newRepository,
} from "../../../support/repositories.js";
import { tempFolder } from "../../../support/temp-folder.js";

const MIB = 1024 * 1024;
export const NOW = ["--grace-period", "0s"];

/** A repository with one image that is backed up repeatedly. */
export class Fixture {
  private constructor(
    readonly folder: string,
    readonly repo: string,
    readonly image: string,
    readonly random: SeededRandom,
  ) {}

  static async create(random: SeededRandom): Promise<Fixture> {
    const folder = await tempFolder();
    const image = join(folder, "disk.img");
    await writeRandomFile(image, 24 * MIB, random);
    return new Fixture(folder, await newRepository(folder), image, random);
  }

  async backUp(): Promise<string> {
    return (await backUp(this.repo, this.image, "--threads=1")).point;
  }

  /** Backs up in this process. Calls `meanwhile` after the index is read and before the point is written. */
  async backUpHere(meanwhile: () => Promise<void> = async () => undefined): Promise<RecoveryPoint> {
    let done: Promise<void> | undefined;
    const repository = await openRepository(this.repo);
    const { storage } = repository;
    const put = storage.put.bind(storage);
    storage.put = async (key, body, options) => {
      if (key.startsWith("points/")) await done;
      return put(key, body, options);
    };
    const { point } = await backup(repository, {
      devices: [{ path: this.image, name: "disk.img" }],
      ...{ threads: 1, queueDepth: 8, compression: "lz4", badBlocks: "fail", tags: {} },
      watcher: {
        start: () => {
          done ??= meanwhile();
        },
        stop: () => undefined,
        notice: () => undefined,
      },
      signal: new AbortController().signal,
    });
    return point;
  }

  change(offset: number, length: number): Promise<void> {
    return overwriteAtRandom(this.image, offset, length, this.random);
  }

  forget(...points: string[]) {
    return agentJson("forget", "--repo", this.repo, ...points);
  }

  prune(...options: string[]): Promise<PruneReport> {
    return agentJson<PruneReport>("prune", "--repo", this.repo, "--allow-no-points", ...options);
  }

  packBytes(): Promise<number> {
    return bytesBelow(join(this.repo, "packs"));
  }

  assertRestores(point: string): Promise<void> {
    return assertRestores(this.repo, point, this.image, join(this.folder, `${point}.restored`));
  }

  /** Asserts that no condemnations and leases are left. */
  async assertTidy(): Promise<void> {
    for (const folder of ["prune", "locks", "tmp"])
      assert.deepEqual(await filesBelow(join(this.repo, folder)), []);
    await assertWhole(this.repo);
  }
}
