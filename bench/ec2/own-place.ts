import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { allowsInsecureHttp } from "../../command-line/storage-options.js";
import { openStorage, parseStorageLocation } from "../../repository/storage/open-storage.js";
import { measure } from "../measure.js";
import { folderPlace, type Place } from "../place.js";

/** The location of the benchmark's repositories. */
interface RepositoryOptions {
  /** A folder or `s3://BUCKET/PREFIX`; existing objects there are not touched. */
  repo: string;
  region: string | undefined;
  endpointUrl: string | undefined;
  forcePathStyle: boolean;
}

/** Returns the server as restic expects it; without a Region restic finds the bucket's Region. */
function serverOf(region: string | undefined): string {
  return region === undefined ? "https://s3.amazonaws.com" : `https://s3.${region}.amazonaws.com`;
}

/** A private folder or prefix of the benchmark, below a place that may have other users. */
export interface OwnPlaces {
  /** Path or URL of the whole folder or prefix. */
  name: string;
  kind: "directory" | "s3";
  place(name: string): Place;
  /** Removes everything that the benchmark created. */
  remove(): Promise<void>;
}

export async function ownPlaces(options: RepositoryOptions): Promise<OwnPlaces> {
  const own = `bench-${randomBytes(6).toString("hex")}`;
  const { repo, region, endpointUrl, forcePathStyle } = options;
  const addressing = forcePathStyle ? "path" : undefined;
  const allowInsecureHttp = allowsInsecureHttp({ allowInsecureHttp: undefined });
  const location = parseStorageLocation(repo, { region, endpointUrl, addressing, allowInsecureHttp });
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
      // The client does not control when a server writes data to disk.
      measure,
    }),
    remove: () => removeBelow(own),
  };
}
