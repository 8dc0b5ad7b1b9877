import { type Profiler, Session } from "node:inspector";

const DIST = new URL("../../", import.meta.url).href;
/** The fuzzer and the tests, whose own coverage does not count. */
const LEFT_OUT = new URL("../", import.meta.url).href;

/** Finds inputs that reach code which no input reached before, by V8's block coverage. */
export class Coverage {
  private readonly session = new Session();
  /** By function: 1 for each character of its source that has run. */
  private readonly covered = new Map<string, Uint8Array>();

  constructor() {
    this.session.connect();
    this.post("Profiler.enable");
    this.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** Number of functions that have run, at least in part. */
  get functions(): number {
    return this.covered.size;
  }

  /**
   * Returns whether code has run since the last call that never ran before.
   * @param then `keep` records this code as known
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

  /**
   * Adds the coverage of a function.
   * @param ranges the first is the whole function; each other one is an exception within an earlier one
   */
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
    // `post` calls the callback before it returns, because this session talks to its own thread.
    this.session.post(method, parameters, (error, result) => {
      if (error !== null) throw new Error(`${method}: ${error.message}`);
      answer = result;
    });
    return answer;
  }
}
