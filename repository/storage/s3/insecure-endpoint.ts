import { BlockList, isIP } from "node:net";
import { BlockferryError } from "../../../foundation/blockferry-error.js";
import { type S3Location, s3Name } from "./s3-location.js";

/** The destination of a request, and its protocol. */
export interface Address {
  /** With the colon: `https:`. */
  protocol: string;
  /** An IPv6 address may have brackets. */
  hostname: string;
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");

/** Returns whether a request is encrypted, or stays on this machine. */
export function isProtected({ protocol, hostname }: Address): boolean {
  if (protocol === "https:" || hostname.toLowerCase() === "localhost") return true;
  const address = hostname.replace(/^\[(.*)\]$/, "$1");
  const version = isIP(address);
  return version !== 0 && loopback.check(address, version === 6 ? "ipv6" : "ipv4");
}

export function insecureEndpoint(location: S3Location, { protocol, hostname }: Address): BlockferryError {
  return new BlockferryError({
    code: "InsecureEndpoint",
    message: `Requests to ${s3Name(location)} would go unencrypted to ${protocol}//${hostname}, which may be another machine. Nothing was sent.`,
    remedy:
      "Give an https endpoint (--endpoint-url, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or endpoint_url of the profile). Add --allow-insecure-http only in a network where no one else can read or change what is sent.",
    object: hostname,
  });
}
