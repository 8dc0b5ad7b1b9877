import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { openStorage, parseStorageLocation } from "../../repository/storage/open-storage.js";
import { measure } from "../measure.js";
import { folderPlace, type Place } from "../place.js";

/** Where the repositories of a benchmark go. */
export interface RepositoryOptions {
  /** A folder or `s3://BUCKET/PREFIX`; nothing that is there already is touched. */
  repo: string;
  region: string | undefined;
  endpointUrl: string | undefined;
  forcePathStyle: boolean;
}

/** As restic wants to be told; without a Region it asks for the bucket's. */
function serverOf(region: string | undefined): string {
  return region === undefined ? "https://s3.amazonaws.com" : `https://s3.${region}.amazonaws.com`;
}

/** Room of the benchmark's own below a place that somebody else may use, too. */
export interface OwnPlaces {
  /** Path or URL of all of it. */
  name: string;
  kind: "directory" | "s3";
  place(name: string): Place;
  /** Removes all that was made. */
  remove(): Promise<void>;
}

export async function ownPlaces(options: RepositoryOptions): Promise<OwnPlaces> {
  const own = `bench-${randomBytes(6).toString("hex")}`;
  const { repo, region, endpointUrl, forcePathStyle } = options;
  const addressing = forcePathStyle ? "path" : undefined;
  const location = parseStorageLocation(repo, { region, endpointUrl, addressing });
  if (location.kind === "directory") {
    const folder = join(location.path, own);
    const remove = folderPlace(folder).empty;
    return { name: folder, kind: "directory", place: (name) => folderPlace(join(folder, name)), remove };
  }
  const storage = await openStorage(location);
  const removeBelow = async (prefix: string) => {
    const objects = await storage.list(`${prefix}/`);
    await storage.delete(objects.map(({ key }) => key));
  };
  const { bucket, prefix } = location;
  const server = endpointUrl ?? serverOf(region ?? process.env.AWS_REGION);
  return {
    name: `s3://${bucket}/${prefix}${own}`,
    kind: "s3",
    place: (name) => ({
      url: `s3:${server}/${bucket}/${prefix}${own}/${name}`,
      blockferryOptions: [
        ...["--repo", `s3://${bucket}/${prefix}${own}/${name}`],
        ...(region === undefined ? [] : ["--region", region]),
        ...(endpointUrl === undefined ? [] : ["--endpoint-url", endpointUrl]),
        ...(forcePathStyle ? ["--force-path-style"] : []),
      ],
      env: {},
      empty: () => removeBelow(`${own}/${name}`),
      // When a server puts data on disk is not the client's doing.
      measure,
    }),
    remove: () => removeBelow(own),
  };
}
