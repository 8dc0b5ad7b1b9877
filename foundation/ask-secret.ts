import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { interrupted } from "./interrupted.js";

/** Asks on the terminal without echoing the answer. @throws Interrupted after Ctrl-C or the end of input */
export async function askSecret(question: string): Promise<string> {
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 });
  process.stderr.write(question);
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once("line", resolve);
      lines.once("SIGINT", () => reject(interrupted()));
      lines.once("close", () => reject(interrupted()));
    });
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
