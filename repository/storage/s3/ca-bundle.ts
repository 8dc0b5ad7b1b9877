import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { BlockferryError } from "../../../foundation/errors.js";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** By the path of the bundle: to parse the certificates takes tens of milliseconds. */
const contexts = new Map<string, SecureContext>();

/**
 * Returns the TLS options that trust the certificates of `AWS_CA_BUNDLE`, in addition to the CAs that Node
 * trusts (with `NODE_EXTRA_CA_CERTS`). Reads the bundle once in each thread.
 * @throws Usage when the bundle cannot be read, or holds no certificate
 */
export function trustedContext(): { secureContext?: SecureContext } {
  const path = process.env.AWS_CA_BUNDLE;
  if (!path) return {};
  const secureContext =
    contexts.get(path) ?? createSecureContext({ ca: [...getCACertificates(), ...read(path)] });
  contexts.set(path, secureContext);
  return { secureContext };
}

function read(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw unusable(path, `cannot be read: ${(error as Error).message}`);
  }
  const certificates = text.match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw unusable(path, "holds no certificate");
  for (const [index, certificate] of certificates.entries()) {
    try {
      new X509Certificate(certificate);
    } catch {
      throw unusable(path, `is damaged: its certificate number ${index + 1} cannot be parsed`);
    }
  }
  return certificates;
}

function unusable(path: string, reason: string): BlockferryError {
  return new BlockferryError({
    code: "Usage",
    message: `AWS_CA_BUNDLE (${path}) ${reason}.`,
    remedy: "Name a PEM file with the certificates of your CAs, or unset the variable.",
    object: path,
  });
}
