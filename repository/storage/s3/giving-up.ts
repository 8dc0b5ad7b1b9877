/**
 * Nobody is kept waiting longer than this for something to be removed from a server that does not answer. Tests shorten it
 * through the environment.
 */
const CLEAN_UP_MS = Number(process.env.BLOCKFERRY_CLEAN_UP_TIMEOUT_MS) || 10_000;

/** The end of something that leaves traces on the server: first nothing is begun any more, and then nothing is waited for. */
export class GivingUp {
  private readonly beginning = new AbortController();
  private readonly ending = new AbortController();

  /** Fires when it begins: from then on nothing is tried again, and what can be cut off is. */
  readonly begun = this.beginning.signal;
  /** Fires when the time to clean up is over: what is under way is cut off, even if nobody knows then what it did. */
  readonly over = this.ending.signal;

  begin(): void {
    this.beginning.abort();
    setTimeout(() => this.ending.abort(), CLEAN_UP_MS).unref();
  }
}
