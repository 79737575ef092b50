/** When a server that ended is started again, and when no more. */

const DELAYS_MS = [250, 1_000, 3_000, 8_000];
/** A server that ran for so long has not crashed for what crashed the one before. */
const STABLE_MS = 120_000;

export class Restarts {
  private crashes = 0;

  /**
   * The server ended unasked.
   *
   * @param ranMs how long it ran, in milliseconds.
   * @returns how long to wait before the next start, in milliseconds; undefined: this has no end, give up.
   */
  next(ranMs: number): number | undefined {
    if (ranMs >= STABLE_MS) {
      this.crashes = 0;
    }
    return DELAYS_MS[this.crashes++];
  }

  /** The user changed something, or asked for another try. */
  reset(): void {
    this.crashes = 0;
  }
}
