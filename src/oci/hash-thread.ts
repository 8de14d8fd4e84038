import type { Worker as WorkerType } from 'node:worker_threads';

/** What a hash thread is told. An update that names a new stream begins it. */
export type HashRequest =
  | { readonly type: 'update'; readonly stream: number; readonly algorithm: string; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly stream: number }
  | { readonly type: 'abandon'; readonly stream: number };

/** A thread that hashes several streams. It keeps the process alive only while an answer is awaited. */
export class HashThread {
  /** Streams that were begun and have not ended. */
  streams = 0;
  readonly #worker: WorkerType;
  readonly #waiting: { resolve: (hex: string) => void; reject: (error: unknown) => void }[] = [];
  #failure: { readonly error: unknown } | undefined;

  constructor(worker: WorkerType) {
    this.#worker = worker;
    worker.unref();
    worker.on('message', (hex: string) => this.#answered(hex));
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', () => this.#fail(new Error('a hash thread ended')));
  }

  /** Answers come in the order of asking: the hex digest to `end`, '' to `update` when its bytes are no longer needed. */
  async ask(request: HashRequest): Promise<string> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#waiting.length === 0) this.#worker.ref();
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  #answered(hex: string): void {
    const asked = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#worker.unref();
    asked?.resolve(hex);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    threads.delete(this);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

const threads = new Set<HashThread>();

/** The thread with the fewest streams; a new one as long as there are fewer than `limit`. */
export async function hashThread(limit: number): Promise<HashThread> {
  const { Worker } = await import('node:worker_threads');
  let [best] = threads;
  for (const thread of threads) if (best === undefined || thread.streams < best.streams) best = thread;
  if (best !== undefined && (best.streams === 0 || threads.size >= limit)) return best;
  // from its text, so that it is found however this program is bundled
  const thread = new HashThread(new Worker(`(${threadMain.toString()})()`, { eval: true, execArgv: [], name: 'hash' }));
  threads.add(thread);
  return thread;
}

/** Runs in the thread, on its own: nothing outside of it can be named. */
function threadMain(): void {
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  const hashes = new Map<number, ReturnType<typeof createHash>>();
  parentPort?.on('message', (request: HashRequest) => {
    let hex = '';
    if (request.type === 'update') {
      const hash = hashes.get(request.stream) ?? createHash(request.algorithm);
      hashes.set(request.stream, hash.update(request.bytes));
    } else {
      if (request.type === 'end') hex = hashes.get(request.stream)?.digest('hex') ?? '';
      hashes.delete(request.stream);
    }
    parentPort.postMessage(hex);
  });
}
