import type {
  $Command,
  EC2ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes,
} from "@aws-sdk/client-ec2";
import type {
  IAMClientResolvedConfig,
  ServiceInputTypes as IamInput,
  ServiceOutputTypes as IamOutput,
} from "@aws-sdk/client-iam";
import type {
  KMSClientResolvedConfig,
  ServiceInputTypes as KmsInput,
  ServiceOutputTypes as KmsOutput,
} from "@aws-sdk/client-kms";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import * as z from "zod/mini";
import { BlockferryError } from "../../foundation/errors.js";
import type { ActionUse, PartyName } from "./action-use.js";
import { awsError, isDenied } from "./aws-errors.js";
import { type Access, Clients } from "./clients.js";

/**
 * Actions that can be aborted, because they change nothing. Other calls run to the end, so that their result
 * is known.
 */
const READS = /^\w+:(Describe|Get|List)/;

/**
 * An AWS account and the principal that acts in it.
 * Every call to EC2, KMS and IAM goes through this class.
 */
export class Party implements PlannedParty {
  readonly accountId: string;
  readonly principalArn: string;
  readonly partition: string;
  readonly region: string;
  readonly rolePath: Caller["rolePath"];

  constructor(
    readonly name: PartyName,
    identity: PlannedParty & Caller,
    private readonly clients: Clients,
    private readonly declared: ReadonlySet<string> | undefined,
    /** Aborts the waits of the party. */
    readonly signal: AbortSignal | undefined,
  ) {
    this.accountId = identity.accountId;
    this.principalArn = identity.principalArn;
    this.partition = identity.partition;
    this.region = identity.region;
    this.rolePath = identity.rolePath;
  }

  /**
   * Returns the same party, limited to the actions that a step declares.
   * An undeclared action fails at once, because no policy would allow it.
   * @param signal aborts the waits of the party
   */
  limitedTo(uses: ActionUse[], signal: AbortSignal): Party {
    const actions = uses.filter(({ party }) => party === this.name).map(({ action }) => action);
    return new Party(this.name, this, this.clients, new Set(actions), signal);
  }

  /**
   * Sends a command to EC2.
   * @param object the resource of the call, for errors
   * @throws the errors of aws-errors.ts
   */
  ec2<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: $Command<Input, Output, EC2ClientResolvedConfig, ServiceInputTypes, ServiceOutputTypes>,
    object: string,
    region = this.region,
  ): Promise<Output> {
    return this.call(`ec2.${region}`, command, object, (options) =>
      this.clients.ec2(region).send(command, options),
    );
  }

  /**
   * Sends a describing command to EC2 until it has returned all pages. EC2 may end any answer with a token, and an
   * answer without results may have one (Amazon EC2 API Reference, "Pagination").
   * @param commandFor returns the command for a page
   * @param object the resource of the call, for errors
   * @returns all pages
   * @throws ListIncomplete if EC2 returns a token again; the errors of aws-errors.ts
   */
  async ec2Pages<Input extends ServiceInputTypes, Output extends ServiceOutputTypes & Page>(
    commandFor: (
      page: Page,
    ) => $Command<Input, Output, EC2ClientResolvedConfig, ServiceInputTypes, ServiceOutputTypes>,
    object: string,
    region = this.region,
  ): Promise<Output[]> {
    const pages: Output[] = [];
    const tokens = new Set<string>();
    for (let page: Page = {}; ; ) {
      const answer = await this.ec2(commandFor(page), object, region);
      pages.push(answer);
      const { NextToken } = answer;
      if (NextToken === undefined || NextToken === "") return pages;
      if (tokens.has(NextToken)) throw listRepeats("EC2", object);
      tokens.add(NextToken);
      page = { NextToken };
    }
  }

  /**
   * Sends a command to KMS, in the Region of the key's ARN.
   * @throws the errors of aws-errors.ts
   */
  kms<Input extends KmsInput, Output extends KmsOutput>(
    command: $Command<Input, Output, KMSClientResolvedConfig, KmsInput, KmsOutput>,
    key: string,
    region = key.split(":")[3] ?? this.region,
  ): Promise<Output> {
    return this.call(`kms.${region}`, command, key, (options) =>
      this.clients.kms(region).send(command, options),
    );
  }

  /**
   * Sends a command to IAM.
   * @throws the errors of aws-errors.ts
   */
  iam<Input extends IamInput, Output extends IamOutput>(
    command: $Command<Input, Output, IAMClientResolvedConfig, IamInput, IamOutput>,
    object: string,
  ): Promise<Output> {
    return this.call(`iam.${this.region}`, command, object, (options) =>
      this.clients.iam(this.region).send(command, options),
    );
  }

  private async call<T>(
    endpoint: string,
    command: object,
    object: string,
    send: (options: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const action = `${endpoint.split(".")[0]}:${command.constructor.name.replace(/Command$/, "")}`;
    if (this.declared?.has(action) === false) throw undeclared(action, this.name);
    const { signal } = this;
    const options = signal !== undefined && READS.test(action) ? { abortSignal: signal } : {};
    try {
      return await this.clients.patience.keepTrying(endpoint, () => send(options), signal);
    } catch (error) {
      throw awsError({ action, principal: this.principalArn, object }, error);
    }
  }
}

/** Where a page starts or goes on. */
interface Page {
  NextToken?: string | undefined;
}

/** Returns the error for a list whose pages repeat or do not end. */
export function listRepeats(service: string, object: string): BlockferryError {
  return new BlockferryError({
    code: "ListIncomplete",
    message: `${service} did not list ${object} as a whole: it returned the same page again, or not the place of the next one.`,
    remedy: "Nothing was inferred from that list. Run the command again.",
    object,
  });
}

/**
 * Opens a party and asks STS for its identity.
 * @param signal aborts the waits of the party
 * @throws CredentialsInvalid, AwsAccessDenied; Usage when no Region is set
 */
export async function openParty(name: PartyName, access: Access, signal?: AbortSignal): Promise<Party> {
  const clients = new Clients(access);
  const who = access.roleArn ?? access.profile ?? "the credentials of the environment";
  try {
    const region = await clients.defaultRegion();
    if (region === undefined) throw noRegion(name, access);
    const ask = () => clients.sts(region).send(new GetCallerIdentityCommand());
    const { Account = "", Arn = "" } = await clients.patience.keepTrying(`sts.${region}`, ask, signal);
    const identity = {
      accountId: Account,
      ...callerOf(Arn, access.roleArn),
      partition: Arn.split(":")[1] ?? "aws",
      region,
    };
    return new Party(name, identity, clients, undefined, signal);
  } catch (error) {
    if (access.roleArn !== null && isDenied(error)) throw roleRefused(name, access.roleArn, access, error);
    throw awsError({ action: "sts:GetCallerIdentity", principal: who, object: `the ${name} account` }, error);
  }
}

function undeclared(action: string, party: PartyName): BlockferryError {
  return new BlockferryError({
    code: "Unexpected",
    message: `A step calls ${action} as ${party} without declaring it, so no policy would allow it.`,
    remedy: "This is a bug in blockferry; please report it.",
    object: action,
  });
}

/** The identity behind credentials: a user, or the role of a session. */
interface Caller {
  principalArn: string;
  /** Whether the role's ARN includes its IAM path; STS returns only the name of the role. */
  rolePath: "known" | "unknown";
}

/**
 * Returns the principal that policies name, which is the role and not its session.
 * `assumed-role/NAME/SESSION` becomes `role/PATH/NAME`.
 * @param callerArn as GetCallerIdentity returns it
 * @param roleArn the role that was assumed for these credentials, or null
 */
function callerOf(callerArn: string, roleArn: string | null): Caller {
  if (roleArn !== null) return { principalArn: roleArn, rolePath: "known" };
  const [, partition, account, role] =
    /^arn:([^:]+):sts::(\d+):assumed-role\/([^/]+)\//.exec(callerArn) ?? [];
  if (role === undefined) return { principalArn: callerArn, rolePath: "known" };
  return { principalArn: `arn:${partition}:iam::${account}:role/${role}`, rolePath: "unknown" };
}

function noRegion(name: PartyName, { profile }: Access): BlockferryError {
  const option = `--${name}-region`;
  const ofProfile = profile === null ? "the profile in use" : `profile ${profile}`;
  return new BlockferryError({
    code: "Usage",
    message: `No Region is named for the ${name === "source" ? "instance" : "worker"}: there is no ${option}, no AWS_REGION in the environment, and no region in ${ofProfile} (~/.aws/config).`,
    remedy: `Give ${option}, as in ${option} eu-central-1, or set AWS_REGION, or write \`region = ...\` into ${ofProfile}.`,
    object: option,
  });
}

/**
 * Returns the error for a role that could not be assumed.
 * GetCallerIdentity needs no permission, so a denial concerns AssumeRole.
 */
function roleRefused(name: PartyName, role: string, { externalId }: Access, cause: unknown): BlockferryError {
  const error = awsError({ action: "sts:AssumeRole", principal: "the caller", object: role }, cause);
  const option = `--${name}-external-id`;
  const { code, message, object } = error;
  const remedy = [
    `Allow the caller sts:AssumeRole on it (\`blockferry iam-policy --for controller\`), and name the caller in the role's trust policy.`,
    externalId === null
      ? `If that policy requires an external id (sts:ExternalId), give it with ${option}.`
      : `The policy may require a different external id from the one that ${option} gives.`,
  ].join(" ");
  return new BlockferryError({ code, message, remedy, object: object ?? role }, error);
}

export const PartySchema = z.strictObject({
  /** In a journal this is a claim, which is compared with the account that STS names. */
  accountId: z.string().check(z.regex(/^\d{12}$/)),
  /** The principal of the party, for messages and key policies; for a session, the role behind it. */
  principalArn: z.string(),
  partition: z.string(),
  /** Part of host names. */
  region: z.string().check(z.regex(/^[a-z0-9-]{1,63}$/)),
});
export type PlannedParty = z.infer<typeof PartySchema>;
