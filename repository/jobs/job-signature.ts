import { signedMessage } from "../signature.js";

/** The place of a job. */
export interface JobPlace {
  /** UUID of the repository. */
  repository: string;
  /** The encryption of the repository: `none`, or the key check in its config.json. */
  encryption: string;
  id: string;
  /** Instance id. */
  worker: string;
}

/**
 * Returns the message for the signature: the job and its place. The verifier takes the place from its own
 * view, not from the job: the repository that it has opened, with the encryption that it found.
 * @param text of the body, without the signature
 */
export function jobMessage({ repository, encryption, id, worker }: JobPlace, text: string): Buffer {
  const place = `repository ${repository}\nencryption ${encryption}\njob ${id}\nworker ${worker}\n`;
  return signedMessage(`blockferry job 2\n${place}`, text);
}

/**
 * Returns the message that controllers signed before they included the encryption of the repository. No agent
 * accepts it; it only serves to distinguish such a job from a forgery.
 */
export function oldJobMessage({ repository, id, worker }: JobPlace, text: string): Buffer {
  const place = `repository ${repository}\njob ${id}\nworker ${worker}\n`;
  return signedMessage(`blockferry job 1\n${place}`, text);
}
