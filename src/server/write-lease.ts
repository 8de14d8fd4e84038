/** How long a client may think between two requests of a push. */
const IDLE_MS = 600_000;

/**
 * Keeps garbage collection away while clients are adding: from their first request that writes, or that finds a blob there and will
 * therefore not send it, until a tag was put on what they sent and nobody else is at it, or until ten minutes without such a request.
 */
export class WriteLease {
  readonly #grant: () => Promise<AsyncDisposable>;
  #lease: Promise<AsyncDisposable> | undefined;
  #users = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(grant: () => Promise<AsyncDisposable>) {
    this.#grant = grant;
  }

  /** Holds the lease while `work` runs, and for a while after. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#users += 1;
    clearTimeout(this.#timer);
    try {
      await this.#granted();
      return await work();
    } finally {
      this.#users -= 1;
      if (this.#users === 0) this.#timer = setTimeout(() => void this.end(), IDLE_MS).unref();
    }
  }

  /** Ends it now, unless someone is at work. */
  async end(): Promise<void> {
    if (this.#users > 0) return;
    clearTimeout(this.#timer);
    const lease = this.#lease;
    this.#lease = undefined;
    await (await lease?.catch(() => undefined))?.[Symbol.asyncDispose]();
  }

  async #granted(): Promise<void> {
    const lease = (this.#lease ??= this.#grant());
    await lease.catch((error: unknown) => {
      if (this.#lease === lease) this.#lease = undefined;
      throw error;
    });
  }
}
