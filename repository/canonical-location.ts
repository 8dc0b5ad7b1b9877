import { realpath } from "node:fs/promises";
import type { S3Location } from "./storage/s3/s3-location.js";
import type { StorageLocation } from "./storage/storage.js";

/**
 * Returns the same string for all spellings of one location: the real path of a directory, or
 * `s3://ENDPOINT/BUCKET/PREFIX`, where the endpoint is empty for AWS. An endpoint from a profile is not
 * looked up.
 */
export async function canonicalLocation(location: StorageLocation): Promise<string> {
  if (location.kind === "directory") return realpath(location.path).catch(() => location.path);
  return `s3://${endpointOf(location)}/${location.bucket}/${location.prefix}`;
}

/**
 * Returns the endpoint URL, in the order of precedence of AWS: "Service-specific endpoints in the AWS SDKs".
 */
function endpointOf({ endpointUrl }: S3Location): string {
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS } = process.env;
  const configured =
    AWS_IGNORE_CONFIGURED_ENDPOINT_URLS === "true" ? undefined : AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL;
  const url = endpointUrl ?? configured;
  if (url === undefined || !URL.canParse(url)) return "";
  const { host, pathname } = new URL(url);
  return host + pathname.replace(/\/+$/, "");
}
