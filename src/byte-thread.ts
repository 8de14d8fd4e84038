import { availableParallelism } from 'node:os';
import type { Worker as WorkerType } from 'node:worker_threads';
import type { MoveResult } from './move.ts';
import { type Answer, type ByteRequest, byteWork, type MoveRequest } from './byte-work.ts';
import { pageAligned } from './chunk.ts';

/** As many as run at a time; to ask for that takes as long as a small read. */
const MAX_THREADS = Math.min(availableParallelism(), 8);
/** What is moved at a time: the cache of one processor holds it. */
const PIECE_BYTES = 256 * 1024;

/** A thread that hashes streams and writes files, from shared memory. It keeps the process alive only while an answer is awaited. */
export class ByteThread {
  /** What it hashes and what it writes: whoever joined has to leave. */
  readonly members: Record<Member, number> = { stream: 0, file: 0 };
  readonly #worker: WorkerType;
  readonly #waiting: { resolve: (answer: string | MoveResult) => void; reject: (error: unknown) => void }[] = [];
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
  async ask(request: Exclude<ByteRequest, MoveRequest>): Promise<string> {
    return (await this.#post(request)) as string;
  }

  /** See `ask`. The `syscall` of the error says which of the two files it is about. */
  async move(request: MoveRequest): Promise<MoveResult> {
    return (await this.#post(request)) as MoveResult;
  }

  async #post(request: ByteRequest): Promise<string | MoveResult> {
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
    if (typeof answer === 'string' || !('failure' in answer)) asked?.resolve(answer);
    else asked?.reject(Object.assign(new Error(answer.failure.message), answer.failure));
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    threads.delete(this);
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

const threads = new Set<ByteThread>();

/** A stream is more work than a file. */
type Member = 'stream' | 'file';

/** Joins the thread with the fewest members, or a new one while there are fewer than run at a time. */
export async function joinThread(member: Member): Promise<ByteThread> {
  const { Worker } = await import('node:worker_threads');
  let [best] = threads;
  for (const thread of threads) if (best === undefined || isLess(thread, best)) best = thread;
  if (best === undefined || (isTaken(best) && threads.size < MAX_THREADS)) {
    // from its text, so that it is found however this program is bundled
    const workerData = pageAligned(PIECE_BYTES);
    best = new ByteThread(new Worker(`(${byteWork.toString()})()`, { eval: true, execArgv: [], name: 'bytes', workerData }));
    threads.add(best);
  }
  best.members[member] += 1;
  return best;
}

/** True when each processor has a stream to hash: then nothing is gained by sharing the work on one among several. */
export function areThreadsBusy(): boolean {
  let busy = 0;
  for (const { members } of threads) if (members.stream > 0) busy += 1;
  return busy >= MAX_THREADS;
}

function isTaken({ members }: ByteThread): boolean {
  return members.stream + members.file > 0;
}

function isLess({ members: one }: ByteThread, { members: other }: ByteThread): boolean {
  return one.stream === other.stream ? one.file < other.file : one.stream < other.stream;
}
