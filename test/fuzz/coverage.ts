import { type Profiler, Session } from "node:inspector";

const DIST = new URL("../../", import.meta.url).href;
/** What reads; the fuzzer and the tests are not what is to be covered. */
const LEFT_OUT = new URL("../", import.meta.url).href;

/** Tells which code an input has reached that none did before, by V8's block coverage. */
export class Coverage {
  private readonly session = new Session();
  /** Of each function, by the places in its source: 1 where something has run. */
  private readonly covered = new Map<string, Uint8Array>();

  constructor() {
    this.session.connect();
    this.post("Profiler.enable");
    this.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** How many functions have run, or a part of them. */
  get functions(): number {
    return this.covered.size;
  }

  /**
   * @param then whether what has run counts as known from now on
   * @returns whether something has run since the last call that was not known to run
   */
  hasNews(then: "ask" | "keep"): boolean {
    const { result } = this.post("Profiler.takePreciseCoverage") as Profiler.TakePreciseCoverageReturnType;
    let hasNews = false;
    for (const { url, functions } of result) {
      if (!url.startsWith(DIST) || url.startsWith(LEFT_OUT)) continue;
      for (const { ranges } of functions) if (this.add(url, ranges, then)) hasNews = true;
    }
    return hasNews;
  }

  /** @param ranges of a function: the first is all of it, and each other one an exception from one before */
  private add(url: string, ranges: Profiler.CoverageRange[], then: "ask" | "keep"): boolean {
    const [whole] = ranges;
    if (whole === undefined || whole.count === 0) return false;
    const { startOffset: start, endOffset: end } = whole;
    const ran = new Uint8Array(end - start);
    for (const { startOffset, endOffset, count } of ranges) {
      ran.fill(count > 0 ? 1 : 0, startOffset - start, endOffset - start);
    }
    const key = `${url}:${start}`;
    const before = this.covered.get(key);
    const isNews = before === undefined || ran.some((flag, at) => flag > (before[at] as number));
    if (isNews && then === "keep")
      this.covered.set(
        key,
        before === undefined ? ran : ran.map((flag, at) => flag | (before[at] as number)),
      );
    return isNews;
  }

  close(): void {
    this.session.disconnect();
  }

  private post(method: string, parameters: object = {}): unknown {
    let answer: unknown;
    // The callback is called before `post` returns: this session talks to its own thread.
    this.session.post(method, parameters, (error, result) => {
      if (error !== null) throw new Error(`${method}: ${error.message}`);
      answer = result;
    });
    return answer;
  }
}
