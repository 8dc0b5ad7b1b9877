import {
  type $Command,
  EC2Client,
  type EC2ClientResolvedConfig,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from "@aws-sdk/client-ec2";
import {
  IAMClient,
  type IAMClientResolvedConfig,
  type ServiceInputTypes as IamInput,
  type ServiceOutputTypes as IamOutput,
} from "@aws-sdk/client-iam";
import {
  KMSClient,
  type KMSClientResolvedConfig,
  type ServiceInputTypes as KmsInput,
  type ServiceOutputTypes as KmsOutput,
} from "@aws-sdk/client-kms";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { PlannedParty } from "../plan.js";
import type { Access } from "../request.js";
import { timing } from "../timing.js";
import type { ActionUse, PartyName } from "./action-use.js";
import { awsError, isDenied } from "./aws-errors.js";
import { type CredentialProvider, credentialsFor } from "./credentials.js";

/** Attempts for one request; the SDK waits between them, longer each time, and slows down when AWS throttles. */
const MAX_ATTEMPTS = 8;

/** An AWS account and who acts in it. Every call to EC2, KMS and IAM goes through here. */
export class Party implements PlannedParty {
  readonly accountId: string;
  readonly principalArn: string;
  readonly partition: string;
  readonly region: string;

  constructor(
    readonly name: PartyName,
    identity: PlannedParty,
    private readonly clients: Clients,
    private readonly declared: ReadonlySet<string> | undefined,
  ) {
    this.accountId = identity.accountId;
    this.principalArn = identity.principalArn;
    this.partition = identity.partition;
    this.region = identity.region;
  }

  /** The same party, held to what a step declares: an action that no policy would name fails at once. */
  limitedTo(uses: ActionUse[]): Party {
    const actions = uses.filter(({ party }) => party === this.name).map(({ action }) => action);
    return new Party(this.name, this, this.clients, new Set(actions));
  }

  /** @param object what the call is about, for errors @throws the errors of aws-errors.ts */
  ec2<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: $Command<Input, Output, EC2ClientResolvedConfig, ServiceInputTypes, ServiceOutputTypes>,
    object: string,
    region = this.region,
  ): Promise<Output> {
    return this.call("ec2", command, object, () => this.clients.ec2(region).send(command));
  }

  /** The Region is that of the key's ARN. @throws the errors of aws-errors.ts */
  kms<Input extends KmsInput, Output extends KmsOutput>(
    command: $Command<Input, Output, KMSClientResolvedConfig, KmsInput, KmsOutput>,
    key: string,
    region = key.split(":")[3] ?? this.region,
  ): Promise<Output> {
    return this.call("kms", command, key, () => this.clients.kms(region).send(command));
  }

  /** @throws the errors of aws-errors.ts */
  iam<Input extends IamInput, Output extends IamOutput>(
    command: $Command<Input, Output, IAMClientResolvedConfig, IamInput, IamOutput>,
    object: string,
  ): Promise<Output> {
    return this.call("iam", command, object, () => this.clients.iam(this.region).send(command));
  }

  private async call<T>(
    service: string,
    command: object,
    object: string,
    send: () => Promise<T>,
  ): Promise<T> {
    const action = `${service}:${command.constructor.name.replace(/Command$/, "")}`;
    if (this.declared?.has(action) === false) throw undeclared(action, this.name);
    try {
      return await send();
    } catch (error) {
      throw awsError({ action, principal: this.principalArn, object }, error);
    }
  }
}

/** Finds out who acts with these credentials. @throws CredentialsInvalid, AwsAccessDenied */
export async function openParty(name: PartyName, access: Access): Promise<Party> {
  const clients = new Clients(credentialsFor(access), access);
  const who = access.roleArn ?? access.profile ?? "the credentials of the environment";
  try {
    const region = await clients.defaultRegion();
    const { Account = "", Arn = "" } = await clients.sts(region).send(new GetCallerIdentityCommand());
    const identity = {
      accountId: Account,
      principalArn: roleOf(Arn),
      partition: Arn.split(":")[1] ?? "aws",
      region,
    };
    return new Party(name, identity, clients, undefined);
  } catch (error) {
    if (access.roleArn !== null && isDenied(error)) throw roleRefused(name, access.roleArn, access, error);
    throw awsError({ action: "sts:GetCallerIdentity", principal: who, object: `the ${name} account` }, error);
  }
}

/** GetCallerIdentity takes no permission, so what is refused is to assume the role. */
function roleRefused(name: PartyName, role: string, { externalId }: Access, cause: unknown): BlockferryError {
  const error = awsError({ action: "sts:AssumeRole", principal: "the caller", object: role }, cause);
  const option = `--${name}-external-id`;
  const { code, message, object } = error;
  const remedy = [
    `Allow the caller sts:AssumeRole on it (\`blockferry iam-policy --for controller\`), and name the caller in the role's trust policy.`,
    externalId === null
      ? `If that policy asks for an external id (sts:ExternalId), give it with ${option}.`
      : `The policy may ask for another external id than ${option} gives.`,
  ].join(" ");
  return new BlockferryError({ code, message, remedy, object: object ?? role }, error);
}

/** Policies name a role, not its sessions: `assumed-role/NAME/SESSION` is `role/NAME`, as far as its path is not told. */
function roleOf(callerArn: string): string {
  const [, partition, account, role] =
    /^arn:([^:]+):sts::(\d+):assumed-role\/([^/]+)\//.exec(callerArn) ?? [];
  return role === undefined ? callerArn : `arn:${partition}:iam::${account}:role/${role}`;
}

class Clients {
  private readonly ec2ByRegion = new Map<string, EC2Client>();
  private readonly kmsByRegion = new Map<string, KMSClient>();

  constructor(
    private readonly credentials: CredentialProvider,
    private readonly access: Access,
  ) {}

  ec2(region: string): EC2Client {
    return remembered(this.ec2ByRegion, region, () => new EC2Client(this.config(region)));
  }

  kms(region: string): KMSClient {
    return remembered(this.kmsByRegion, region, () => new KMSClient(this.config(region)));
  }

  iam(region: string): IAMClient {
    return new IAMClient(this.config(region));
  }

  sts(region: string): STSClient {
    return new STSClient(this.config(region));
  }

  /** The Region of the command line, the profile or the environment, as the SDK finds it. */
  async defaultRegion(): Promise<string> {
    if (this.access.region !== null) return this.access.region;
    const { profile } = this.access;
    return new STSClient(profile === null ? {} : { profile }).config.region();
  }

  private config(region: string) {
    const { callMs } = timing();
    return {
      region,
      credentials: this.credentials,
      maxAttempts: MAX_ATTEMPTS,
      retryMode: "adaptive",
      // The SDK's own default is to wait for ever.
      requestHandler: { connectionTimeout: callMs, socketTimeout: callMs },
    } as const;
  }
}

function remembered<T>(clients: Map<string, T>, region: string, make: () => T): T {
  const client = clients.get(region) ?? make();
  clients.set(region, client);
  return client;
}

function undeclared(action: string, party: PartyName): BlockferryError {
  return new BlockferryError({
    code: "Unexpected",
    message: `A step calls ${action} as ${party} without declaring it, so no policy would allow it.`,
    remedy: "This is a bug in blockferry; please report it.",
    object: action,
  });
}
