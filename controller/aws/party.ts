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
import { BlockferryError } from "../../foundation/blockferry-error.js";
import type { PlannedParty } from "../plan.js";
import type { Access } from "../request.js";
import { noRegion, roleRefused } from "./access-errors.js";
import type { ActionUse, PartyName } from "./action-use.js";
import { awsError, isDenied } from "./aws-errors.js";
import { type Caller, callerOf } from "./caller.js";
import { Clients } from "./clients.js";

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
