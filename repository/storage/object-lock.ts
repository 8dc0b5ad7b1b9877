/** S3 Object Lock: how long an object can neither be removed nor replaced, and whether a privileged role may lift that. */
export interface ObjectLock {
  mode: "governance" | "compliance";
  until: Date;
}
