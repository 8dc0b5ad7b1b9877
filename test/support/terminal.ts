import { spawn } from "node:child_process";
import { once } from "node:events";
import { AGENT } from "./agent.js";

interface TerminalResult {
  code: number | null;
  /** All output to the terminal so far. */
  screen: string;
}

/** Runs `blockferry-agent` on its own terminal, by script(1). */
export function agentOnTerminal(...args: string[]): Promise<TerminalResult> {
  return onTerminal(args);
}

/** Runs `blockferry-agent` on a terminal, and types an answer when the question appears. */
export function agentAsking(
  { question, answer }: { question: string; answer: string },
  ...args: string[]
): Promise<TerminalResult> {
  let isAnswered = false;
  return onTerminal(args, (screen) => {
    if (isAnswered || !screen.includes(question)) return "";
    isAnswered = true;
    return `${answer}\r`;
  });
}

/** Runs a command on a terminal. @param type gets the screen at each change, and returns the text to type */
async function onTerminal(
  args: string[],
  type: (screen: string) => string = () => "",
): Promise<TerminalResult> {
  const command = [process.execPath, AGENT, ...args].map(quote).join(" ");
  const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, TERM: "xterm", SHELL: "/bin/sh" },
  });
  let screen = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    screen += text;
    child.stdin.write(type(screen));
  });
  child.stdin.on("error", () => undefined);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, screen };
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
