export interface Statement {
  Sid?: string;
  Effect: "Allow";
  Principal?: { AWS: string };
  Action: string[];
  Resource: string[];
  Condition?: Record<string, Record<string, string>>;
}

/** A policy as IAM and KMS take it. */
export interface Policy {
  Version: "2012-10-17";
  Statement: Statement[];
}
