import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SeededRandom } from "../support/random.js";
import { runTool } from "../support/run-tool.js";
import { launch } from "./instances.js";
import type { Party } from "./party.js";

const GIB = 1;
const FILE_BYTES = 1024 * 1024;

/**
 * An instance to back up. Its root volume and its data volume each have an ext4 file system with random
 * files.
 */
export interface SourceInstance {
  instanceId: string;
  volumes: SourceVolume[];
}

interface SourceVolume {
  volumeId: string;
  attachName: string;
  /** The file with the content of the volume. */
  disk: string;
}

/** Encryption of its volumes: with the account's default key, with a customer managed key, or none. */
export type SourceEncryption = { keyArn: string } | "aws/ebs" | "none";

export async function launchSource(
  party: Party,
  folder: string,
  encryption: SourceEncryption,
  random: SeededRandom,
): Promise<SourceInstance> {
  const ebs = {
    VolumeSize: GIB,
    VolumeType: "gp3" as const,
    Encrypted: encryption !== "none",
    ...(typeof encryption === "object" ? { KmsKeyId: encryption.keyArn } : {}),
  };
  const instance = await launch(party, {
    ImageId: "ami-0123456789abcdef0",
    BlockDeviceMappings: [
      { DeviceName: "/dev/sda1", Ebs: { ...ebs, DeleteOnTermination: true } },
      { DeviceName: "/dev/sdf", Ebs: ebs },
    ],
    TagSpecifications: [{ ResourceType: "instance", Tags: [{ Key: "Name", Value: "production" }] }],
  });
  const instanceId = instance.InstanceId ?? "";
  const volumes = (instance.BlockDeviceMappings ?? []).map(({ DeviceName = "", Ebs }) => ({
    volumeId: Ebs?.VolumeId ?? "",
    attachName: DeviceName,
    disk: join(folder, "disks", `${Ebs?.VolumeId}.img`),
  }));
  for (const { disk } of volumes) await makeFileSystem(disk, folder, random);
  return { instanceId, volumes };
}

async function makeFileSystem(disk: string, folder: string, random: SeededRandom): Promise<void> {
  const content = await mkdtemp(join(folder, "content-"));
  try {
    await mkdir(join(content, "etc"));
    await writeFile(join(content, "etc", "hostname"), "production\n");
    for (let number = 0; number < 8; number++) {
      await writeFile(join(content, `random-${number}`), random.bytes(FILE_BYTES));
    }
    await runTool("mke2fs", "-q", "-F", "-t", "ext4", "-E", "nodiscard", "-d", content, disk);
  } finally {
    await rm(content, { recursive: true });
  }
}
