import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CreateSnapshotCommand, CreateVolumeCommand, type Tag } from "@aws-sdk/client-ec2";
import { JOB_TAG, ROLE_TAG } from "../../../controller/aws/job-resources.js";
import { openParty, type Party } from "../../../controller/aws/party.js";
import { listSnapshots } from "../../../controller/aws/snapshots.js";
import { findJobVolumes, volumeKind } from "../../../controller/aws/volumes.js";
import { type ProxiedRequest, startFaultProxy } from "../../support/fault-proxy.js";
import { startS3Server } from "../../support/s3-server.js";

const JOB = "20260101T000000Z-00000001";
const COUNT = 5;

/** Returns the token of a request; the first page has none. */
function tokenOf({ body }: ProxiedRequest): string {
  return new URLSearchParams(String(body)).get("NextToken") ?? "";
}

/** Leaves one element of a list in an answer, chosen by the token, and an empty page in the middle. */
function onePerPage(request: ProxiedRequest, xml: string, list: string): string {
  const [, before = "", items = "", after = ""] =
    new RegExp(`^(.*<${list}>)(.*)(</${list}>.*)$`, "s").exec(xml) ?? [];
  if (items === "") return xml;
  const all = elementsOf(items);
  const page = Number(tokenOf(request) || "0");
  const shown = page === 1 ? "" : (all[page > 1 ? page - 1 : 0] ?? "");
  const next = page < all.length ? `<nextToken>${page + 1}</nextToken>` : "<nextToken></nextToken>";
  return `${before}${shown}${after.replace(`</${list}>`, `</${list}>${next}`)}`;
}

/** Splits a list into its items, which may contain lists themselves. */
function elementsOf(items: string): string[] {
  const elements: string[] = [];
  let depth = 0;
  let start = 0;
  for (const { index, 0: tag } of items.matchAll(/<\/?item>/g)) {
    if (tag === "<item>" && depth++ === 0) start = index;
    if (tag === "</item>" && --depth === 0) elements.push(items.slice(start, index + tag.length));
  }
  return elements;
}

describe("lists of EC2 in pages, one of them empty,", async () => {
  const { endpointUrl } = await startS3Server("moto");
  const proxy = await startFaultProxy(endpointUrl);
  const access = { profile: null, roleArn: null, externalId: null, region: "us-east-1" };

  async function makeResources(party: Party): Promise<void> {
    const Tags: Tag[] = [
      { Key: JOB_TAG, Value: JOB },
      { Key: ROLE_TAG, Value: "snapshot" },
    ];
    for (let number = 0; number < COUNT; number++) {
      const { VolumeId } = await party.ec2(
        new CreateVolumeCommand({
          ...{ Size: 1, AvailabilityZone: "us-east-1a" },
          TagSpecifications: [{ ResourceType: "volume", Tags }],
        }),
        "a volume",
      );
      await party.ec2(
        new CreateSnapshotCommand({ VolumeId, TagSpecifications: [{ ResourceType: "snapshot", Tags }] }),
        "a snapshot",
      );
    }
  }

  test("are read to their end", async () => {
    process.env.AWS_ENDPOINT_URL = proxy.endpointUrl;
    const party = await openParty("source", access);
    await makeResources(party);
    const kind = volumeKind(party, JOB);
    const ids = (await kind.list()).map(kind.idOf).sort();
    assert.equal(ids.length, COUNT);
    const place = { party, region: "us-east-1", role: "snapshot" } as Parameters<typeof listSnapshots>[0];
    const snapshots = (await listSnapshots(place, JOB)).map(({ SnapshotId }) => SnapshotId).sort();
    assert.equal(snapshots.length, COUNT);
    proxy.changeXml = (request, xml) =>
      onePerPage(request, onePerPage(request, xml, "volumeSet"), "snapshotSet");
    proxy.requests.length = 0;
    assert.deepEqual((await kind.list()).map(kind.idOf).sort(), ids);
    assert.deepEqual(proxy.requests.map(tokenOf), ["", "1", "2", "3", "4", "5"]);
    assert.deepEqual((await listSnapshots(place, JOB)).map(({ SnapshotId }) => SnapshotId).sort(), snapshots);
  });

  test("that repeat a page are refused", async () => {
    process.env.AWS_ENDPOINT_URL = proxy.endpointUrl;
    const party = await openParty("source", access);
    proxy.changeXml = (_request, xml) => xml.replace("</volumeSet>", "</volumeSet><nextToken>1</nextToken>");
    await assert.rejects(findJobVolumes(party, JOB), { code: "ListIncomplete" });
  });
});
