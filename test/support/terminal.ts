import { spawn } from "node:child_process";
import { once } from "node:events";
import { AGENT } from "./agent.js";

/** Runs `blockferry-agent` on a terminal of its own, by script(1). @returns its exit code and all that the terminal was sent */
export async function agentOnTerminal(...args: string[]): Promise<{ code: number | null; screen: string }> {
  const command = [process.execPath, AGENT, ...args].map(quote).join(" ");
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, TERM: "xterm", SHELL: "/bin/sh" },
  });
  let screen = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    screen += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, screen };
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
