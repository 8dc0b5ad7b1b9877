import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath, pathToFileURL } from "node:url";
import { tempFolder } from "./temp-folder.js";

/** Output of test runs for people to look at; git ignores this folder. */
const ARTIFACTS = fileURLToPath(new URL("../../../artifacts/", import.meta.url));
const HEIGHT = 900;

interface Answer {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
}

/**
 * A headless Chromium with one page, driven through pipes by the Chrome DevTools Protocol: messages of JSON
 * that end with a zero byte (https://chromedevtools.github.io/devtools-protocol/).
 */
export class Chromium {
  /** Requests of the page for other resources, and errors that the page logged. */
  readonly requests: string[] = [];
  readonly complaints: string[] = [];
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private readonly events = new Map<string, () => void>();
  private nextId = 1;
  private session: string | undefined;
  private unread = "";

  private constructor(private readonly process: ChildProcess) {
    process.once("close", () => {
      for (const [id, answered] of this.waiting) answered({ id, error: { message: "Chromium has ended" } });
    });
    (process.stdio[4] as Readable).setEncoding("utf8").on("data", (text: string) => this.receive(text));
  }

  /** Opens a browser for `use`, and closes it afterwards. */
  static async with<T>(use: (browser: Chromium) => Promise<T>): Promise<T> {
    const profile = await tempFolder();
    const flags = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
    ];
    const child = spawn("chromium", [...flags, `--user-data-dir=${profile}`, "--remote-debugging-pipe"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    const ended = once(child, "close");
    const browser = new Chromium(child);
    try {
      await browser.attach();
      return await use(browser);
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
  }

  async open(path: string): Promise<void> {
    const loaded = new Promise<void>((resolve) => this.events.set("Page.loadEventFired", resolve));
    await this.call("Page.navigate", { url: pathToFileURL(path).href });
    await loaded;
  }

  async prefer(scheme: "light" | "dark"): Promise<void> {
    await this.call("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: scheme }],
    });
  }

  /** Sets the width of the window. @param width in CSS pixels */
  async resize(width: number): Promise<void> {
    await this.call("Emulation.setDeviceMetricsOverride", {
      ...{ width, height: HEIGHT, deviceScaleFactor: 1, mobile: false },
    });
  }

  /** Evaluates an expression in the page, and returns its value, which must be plain data. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", {
      expression,
      returnByValue: true,
    });
    assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  }

  /** Saves a picture of the whole page as `artifacts/NAME.png`. */
  async screenshot(name: string): Promise<void> {
    const { data } = await this.call("Page.captureScreenshot", { captureBeyondViewport: true });
    const path = join(ARTIFACTS, `${name}.png`);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, Buffer.from(data as string, "base64"));
  }

  private async attach(): Promise<void> {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    this.session = sessionId as string;
    for (const domain of ["Page", "Network", "Log", "Runtime"]) await this.call(`${domain}.enable`);
  }

  private call(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = this.nextId++;
    const message = {
      id,
      method,
      params,
      ...(this.session === undefined ? {} : { sessionId: this.session }),
    };
    (this.process.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
    });
  }

  private receive(text: string): void {
    const messages = (this.unread + text).split("\0");
    this.unread = messages.pop() as string;
    for (const message of messages) this.take(JSON.parse(message) as Answer);
  }

  private take(answer: Answer): void {
    const { id, method, params = {} } = answer;
    if (id !== undefined) {
      this.waiting.get(id)?.(answer);
      this.waiting.delete(id);
    }
    if (method === "Network.requestWillBeSent") this.requests.push((params.request as { url: string }).url);
    if (method === "Log.entryAdded" || method === "Runtime.exceptionThrown") {
      this.complaints.push(JSON.stringify(params));
    }
    if (method !== undefined) this.events.get(method)?.();
  }
}
