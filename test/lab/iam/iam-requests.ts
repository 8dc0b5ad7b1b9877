import assert from "node:assert/strict";
import type { LabRequest } from "../lab-control.js";
import { ec2Questions } from "./ec2-questions.js";
import { type IamRequest, type Question, question } from "./iam-request.js";

/**
 * Returns all questions to IAM for recorded calls, without duplicates.
 * @param bucketOwner account of the repository's bucket
 */
export function iamRequestsOf(calls: LabRequest[], bucketOwner: string): IamRequest[] {
  const requests = calls.flatMap((call) =>
    questionsOf(call, bucketOwner).map((asked) => ({ ...asked, principal: call.principal ?? "" })),
  );
  return [...new Map(requests.map((request) => [JSON.stringify(request), request])).values()];
}

function questionsOf(call: LabRequest, bucketOwner: string): Question[] {
  switch (call.service) {
    case "ec2":
      return ec2Questions(call);
    case "kms":
      return [kmsQuestion(call)];
    case "s3":
      return s3Questions(call, bucketOwner);
    default:
      return stsQuestions(call);
  }
}

function kmsQuestion(call: LabRequest): Question {
  const key = String(call.parameters.KeyId);
  const context: IamRequest["context"] = { "kms:CallerAccount": call.account ?? "" };
  if (call.via !== null) context["kms:ViaService"] = call.via;
  for (const [name, value] of Object.entries(call.parameters.EncryptionContext ?? {})) {
    context[`kms:EncryptionContext:${name}`] = String(value);
  }
  // EBS creates grants for itself:
  // https://docs.aws.amazon.com/ebs/latest/userguide/how-ebs-encryption-works.html
  if (call.action === "CreateGrant") context["kms:GrantIsForAWSResource"] = String(call.via !== null);
  return question(call, key, context, key.split(":")[4]);
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html */
const S3_ACTIONS: Record<string, string> = {
  ListObjectsV2: "ListBucket",
  HeadBucket: "ListBucket",
  ListMultipartUploads: "ListBucketMultipartUploads",
  HeadObject: "GetObject",
  CreateMultipartUpload: "PutObject",
  UploadPart: "PutObject",
  CompleteMultipartUpload: "PutObject",
};

/**
 * Operations that write. True when the operation creates an object: condition key s3:ObjectCreationOperation.
 */
const CREATES: Record<string, boolean> = {
  PutObject: true,
  CompleteMultipartUpload: true,
  CreateMultipartUpload: false,
  UploadPart: false,
};

function s3Questions(call: LabRequest, bucketOwner: string): Question[] {
  const { Bucket, Key, Keys } = call.parameters;
  const bucket = `arn:aws:s3:::${Bucket}`;
  const ask = (action: string, resource: string, context: IamRequest["context"] = {}) =>
    question({ ...call, action }, resource, { "s3:ResourceAccount": bucketOwner, ...context }, bucketOwner);
  if (Array.isArray(Keys)) return Keys.map((key) => ask("DeleteObject", `${bucket}/${key}`));
  const action = S3_ACTIONS[call.action] ?? call.action;
  if (Key === undefined) return [ask(action, bucket, listContext(call))];
  // "If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status code 403" for an object
  // that does not exist: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html S3 then uses the
  // key as the prefix: https://github.com/ceph/ceph/pull/68577 does so "to match aws behavior".
  const isAbsent = call.error?.status === 404;
  return [
    ask(action, `${bucket}/${Key}`, writeContext(call)),
    ...(isAbsent ? [ask("ListBucket", bucket, { "s3:prefix": String(Key) })] : []),
  ];
}

/**
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html: ListBucket has
 * s3:prefix, the other action does not.
 */
function listContext({ action, parameters }: LabRequest): IamRequest["context"] {
  const isListing = action === "ListObjectsV2" && parameters.prefix !== undefined;
  return isListing ? { "s3:prefix": String(parameters.prefix) } : {};
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html */
function writeContext({ action, parameters }: LabRequest): IamRequest["context"] {
  const creates = CREATES[action];
  if (creates === undefined) return {};
  const { IfNoneMatch } = parameters;
  return {
    "s3:ObjectCreationOperation": String(creates),
    ...(IfNoneMatch === undefined ? {} : { "s3:if-none-match": String(IfNoneMatch) }),
  };
}

/** "No permissions are required" for GetCallerIdentity. */
function stsQuestions(call: LabRequest): Question[] {
  if (call.service === "sts" && call.action === "GetCallerIdentity") return [];
  assert.deepEqual([call.service, call.action], ["sts", "AssumeRole"]);
  const role = String(call.parameters.RoleArn);
  const { ExternalId } = call.parameters;
  const context = ExternalId === undefined ? {} : { "sts:ExternalId": String(ExternalId) };
  return [question(call, role, context, role.split(":")[4])];
}
