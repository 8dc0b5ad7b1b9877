/**
 * The longest wait for removals on a server that does not answer. Tests shorten it through the environment.
 */
const CLEAN_UP_MS = Number(process.env.BLOCKFERRY_CLEAN_UP_TIMEOUT_MS) || 10_000;

/**
 * The end of an operation that leaves traces on the server: first it starts nothing more, and then it waits
 * for nothing more.
 */
export class GivingUp {
  private readonly beginning = new AbortController();
  private readonly ending = new AbortController();

  /** Fires at the start of the end: after it nothing is retried, and everything that can be aborted is. */
  readonly begun = this.beginning.signal;
  /**
   * Fires when the time for cleaning up is over: pending requests are aborted,
   * even if their effect stays unknown.
   */
  readonly over = this.ending.signal;

  begin(): void {
    this.beginning.abort();
    setTimeout(() => this.ending.abort(), CLEAN_UP_MS).unref();
  }
}
