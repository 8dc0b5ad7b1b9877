import assert from "node:assert/strict";
import type { LabRequest } from "../lab-control.js";
import { ec2Questions } from "./ec2-questions.js";
import { type IamRequest, type Question, question } from "./iam-request.js";

/** All that IAM was asked for recorded calls, each question once. @param bucketOwner account of the repository's bucket */
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
  // EBS grants keys to itself: https://docs.aws.amazon.com/ebs/latest/userguide/how-ebs-encryption-works.html
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

function s3Questions(call: LabRequest, bucketOwner: string): Question[] {
  const { Bucket, Key, Keys } = call.parameters;
  const bucket = `arn:aws:s3:::${Bucket}`;
  const ask = (action: string, resource: string) => question({ ...call, action }, resource, {}, bucketOwner);
  if (Array.isArray(Keys)) return Keys.map((key) => ask("DeleteObject", `${bucket}/${key}`));
  const action = S3_ACTIONS[call.action] ?? call.action;
  if (Key === undefined) return [ask(action, bucket)];
  // "If you don't have the s3:ListBucket permission, Amazon S3 returns an HTTP status code 403" for an object that is not there:
  // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
  const isAbsent = call.error?.status === 404;
  return [ask(action, `${bucket}/${Key}`), ...(isAbsent ? [ask("ListBucket", bucket)] : [])];
}

/** "No permissions are required" for GetCallerIdentity. */
function stsQuestions(call: LabRequest): Question[] {
  if (call.service === "sts" && call.action === "GetCallerIdentity") return [];
  assert.deepEqual([call.service, call.action], ["sts", "AssumeRole"]);
  const role = String(call.parameters.RoleArn);
  return [question(call, role, {}, role.split(":")[4])];
}
