import { availableParallelism } from 'node:os';
import type { Worker as WorkerType } from 'node:worker_threads';

const MAX_THREADS = 8;

/** What a thread is told. An update that names a new stream begins it. */
export type ByteRequest =
  | { readonly type: 'update'; readonly stream: number; readonly algorithm: string; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly stream: number }
  | { readonly type: 'abandon'; readonly stream: number }
  | { readonly type: 'write'; readonly fd: number; readonly chunks: readonly Uint8Array[]; readonly position: number };

/** The hex digest to `end`, '' to all else, when its bytes are no longer needed; or what the file system said. */
type Answer = string | Pick<NodeJS.ErrnoException, 'code' | 'errno' | 'syscall' | 'message'>;

/** A thread that hashes streams and writes files, from shared memory. It keeps the process alive only while an answer is awaited. */
export class ByteThread {
  /** Streams that it hashes, and files that it writes: whoever joined has to leave. */
  members = 0;
  readonly #worker: WorkerType;
  readonly #waiting: { resolve: (hex: string) => void; reject: (error: unknown) => void }[] = [];
  /** Asked in this turn of the event loop: they go together, for a message costs more than what it says. */
  #outbox: ByteRequest[] = [];
  #failure: { readonly error: unknown } | undefined;

  constructor(worker: WorkerType) {
    this.#worker = worker;
    worker.unref();
    worker.on('message', (answers: readonly Answer[]) => {
      for (const answer of answers) this.#answered(answer);
    });
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', () => this.#fail(new Error('a thread that hashes and writes ended')));
  }

  /** Answers come in the order of asking. @throws the errors of the file system */
  async ask(request: ByteRequest): Promise<string> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#waiting.length === 0) this.#worker.ref();
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#outbox.push(request) === 1) setImmediate(() => this.#send());
    });
  }

  #send(): void {
    this.#worker.postMessage(this.#outbox);
    this.#outbox = [];
  }

  #answered(answer: Answer): void {
    const asked = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#worker.unref();
    if (typeof answer === 'string') asked?.resolve(answer);
    else asked?.reject(Object.assign(new Error(answer.message), answer));
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    threads.delete(this);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

const threads = new Set<ByteThread>();

/** Joins the thread with the fewest members, or a new one while there are fewer than run at a time. */
export async function joinThread(): Promise<ByteThread> {
  const { Worker } = await import('node:worker_threads');
  let [best] = threads;
  for (const thread of threads) if (best === undefined || thread.members < best.members) best = thread;
  if (best === undefined || (best.members > 0 && threads.size < Math.min(availableParallelism(), MAX_THREADS))) {
    // from its text, so that it is found however this program is bundled
    best = new ByteThread(new Worker(`(${threadMain.toString()})()`, { eval: true, execArgv: [], name: 'bytes' }));
    threads.add(best);
  }
  best.members += 1;
  return best;
}

/** Runs in the thread, on its own: nothing outside of it can be named. */
function threadMain(): void {
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { writeSync } = process.getBuiltinModule('node:fs');
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  // the page cache gives a write memory in pieces of its size: small ones are at hand, large ones are often fresh from the host
  const WRITE = 64 * 1024;
  const hashes = new Map<number, ReturnType<typeof createHash>>();

  function answer(request: ByteRequest): string {
    if (request.type === 'write') {
      let { position } = request;
      for (const bytes of request.chunks) {
        for (let done = 0; done < bytes.byteLength;) {
          done += writeSync(request.fd, bytes, done, Math.min(WRITE, bytes.byteLength - done), position + done);
        }
        position += bytes.byteLength;
      }
      return '';
    }
    if (request.type === 'update') {
      const hash = hashes.get(request.stream) ?? createHash(request.algorithm);
      hashes.set(request.stream, hash.update(request.bytes));
      return '';
    }
    const hex = request.type === 'end' ? hashes.get(request.stream)?.digest('hex') : undefined;
    hashes.delete(request.stream);
    return hex ?? '';
  }

  parentPort?.on('message', (requests: readonly ByteRequest[]) => {
    const answers = requests.map((request): Answer => {
      try {
        return answer(request);
      } catch (error) {
        const { code, errno, syscall, message } = error as NodeJS.ErrnoException;
        return { code, errno, syscall, message };
      }
    });
    parentPort.postMessage(answers);
  });
}
