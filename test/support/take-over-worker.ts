/**
 * Takes over a job as `resume` does, when the file `go` exists, and prints the result on standard error. Then
 * it stays alive until it is killed, because a dead owner would lose the job. Arguments: repository folder,
 * id of the job, path of `go`.
 */

import { existsSync } from "node:fs";
import { Journal } from "../../controller/run/journal.js";
import { asBlockferryError } from "../../foundation/errors.js";
import { LocalDirectory } from "../../repository/storage/local/local-directory.js";
import { UNSIGNED } from "../controller/plans.js";
import { waitUntil } from "./wait-until.js";

const [folder = "", job = "", go = ""] = process.argv.slice(2);
setInterval(() => undefined, 60_000);
process.stderr.write("ready\n");
await waitUntil("the start", () => existsSync(go), 60_000);
try {
  const { record } = await Journal.takeOver(new LocalDirectory(folder), job, 60_000, UNSIGNED);
  process.stderr.write(`taken by ${record.owner}\n`);
} catch (error) {
  process.stderr.write(`refused: ${asBlockferryError(error).code}\n`);
}
