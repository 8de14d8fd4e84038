/** What keeps connections. */
interface Closable {
  destroy(): unknown;
}

/** The keepers of connections, one a host where hosts may differ in authorities and certificates. */
export class Agents<A extends Closable> {
  readonly #create: (url: URL) => Promise<A>;
  readonly #agents = new Map<string, Promise<A>>();

  constructor(create: (url: URL) => Promise<A>) {
    this.#create = create;
  }

  /** @throws what making one throws */
  async for(url: URL): Promise<A> {
    const key = url.protocol === 'https:' ? url.host : 'http';
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      agent = this.#create(url);
      this.#agents.set(key, agent);
    }
    return await agent;
  }

  async close(): Promise<void> {
    const agents = [...this.#agents.values()];
    this.#agents.clear();
    await Promise.allSettled(agents.map(async (agent) => (await agent).destroy()));
  }
}
