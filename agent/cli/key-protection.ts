import { usage } from "../../command-line/options.js";
import { passphraseSource } from "../../command-line/passphrase-options.js";
import { KMS_ARN } from "../../repository/encryption/ask-kms.js";
import type { KeyProtection } from "../../repository/encryption/wrap-key.js";

/** Help text for the protection of a new key: `passphrase`, or `kms:` and the ARN of a key or an alias. */
export const PROTECTION_HELP = "`passphrase`, or kms:KEY-ARN for a key of AWS KMS";

/**
 * Parses the protection of a new key.
 * @param passphrase source of a new passphrase: an option, the file it names, and an environment variable
 * @throws Usage
 */
export function parseProtection(
  text: string,
  passphrase: { option: string; file: string | undefined; variable: string },
): KeyProtection {
  const arn = /^kms:(.*)$/.exec(text)?.[1];
  if (arn !== undefined && KMS_ARN.test(arn)) return { kind: "kms", arn };
  if (text !== "passphrase") {
    throw usage(
      `${text} is neither \`passphrase\` nor kms: and the ARN of a key.`,
      "Write, say, kms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    );
  }
  const source = passphraseSource(passphrase.file, passphrase.variable);
  if (source !== undefined) return { kind: "passphrase", source };
  throw usage(
    "There is no new passphrase.",
    `Give --${passphrase.option} or ${passphrase.variable}, or run it on a terminal to be asked.`,
  );
}
