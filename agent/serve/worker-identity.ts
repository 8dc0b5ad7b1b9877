import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import { readInstanceMetadata } from "./instance-metadata.js";

/** Other programs may have their own documents beside ours, but ours has no unknown keys. */
const UserDataSchema = z.object({
  blockferry: z.strictObject({
    repo: z.string().check(z.minLength(1)),
    region: z.optional(z.string()),
    endpointUrl: z.optional(z.string()),
    forcePathStyle: z.optional(z.boolean()),
    /** The expected repository, in the format of `--expect-repository`. */
    expect: z.optional(z.string()),
    bucketOwner: z.optional(z.string()),
    allowInsecureHttp: z.optional(z.literal(true)),
  }),
});

/** The repository location in the user data of a launched worker; it has no credentials. */
export type RepositoryFromUserData = z.infer<typeof UserDataSchema>["blockferry"];

/** @throws MetadataUnavailable */
export async function instanceId(): Promise<string> {
  const id = (await readInstanceMetadata("meta-data/instance-id"))?.trim();
  if (id !== undefined && /^i-[0-9a-f]+$/.test(id)) return id;
  throw new BlockferryError({
    code: "MetadataUnavailable",
    message: `The instance metadata service knows no instance id${id === undefined ? "" : `, but ${id}`}.`,
    remedy: "Give the worker's id with --worker-id i-...",
  });
}

/** @throws UserDataInvalid, MetadataUnavailable */
export async function repositoryFromUserData(): Promise<RepositoryFromUserData> {
  const text = await readInstanceMetadata("user-data");
  if (text === undefined) throw invalid("this instance has none");
  const parsed = UserDataSchema.safeParse(parseJson(text));
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error));
  return parsed.data.blockferry;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid("they are no JSON document");
  }
}

function invalid(reason: string): BlockferryError {
  return new BlockferryError({
    code: "UserDataInvalid",
    message: `The user data of this instance do not say where the repository is: ${reason}.`,
    remedy: 'Launch it with {"blockferry":{"repo":"s3://BUCKET/PREFIX"}} as user data, or give --repo.',
  });
}
