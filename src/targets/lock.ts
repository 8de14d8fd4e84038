import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KitError } from '../errors.ts';
import { withPath } from './io-error.ts';
import { breakAbandoned, createLockFile, describeHolder, isAbandoned, keepFresh, readLockFile, removeLockFile } from './lock-file.ts';

export interface LockOptions {
  /** How long to wait for another holder; 30 s unless told. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A lock that is held. */
export interface Lock {
  release(): Promise<void>;
}

const LONGEST_WAIT_MS = 100;
/** The end of the queue of each path within this process: polling is only for other processes. */
const queues = new Map<string, Promise<void>>();

/**
 * Runs `work` while holding the lock file `path`, against every other process and caller. A holder that was killed is noticed.
 * @throws KitError STORE_BUSY when the lock cannot be had in time; the signal's reason when aborted while waiting
 */
export async function withLock<T>(path: string, work: () => Promise<T>, options: LockOptions = {}): Promise<T> {
  const key = resolve(path);
  const { promise: done, resolve: finish } = Promise.withResolvers<void>();
  const before = queues.get(key) ?? Promise.resolve();
  const queue = before.then(() => done);
  queues.set(key, queue);
  try {
    await before;
    const lock = await acquire(path, options);
    try {
      return await work();
    } finally {
      await lock.release();
    }
  } finally {
    finish();
    if (queues.get(key) === queue) queues.delete(key);
  }
}

/** One attempt, without waiting. A lock that was abandoned is taken over. Undefined when it is in use. */
export async function tryLock(path: string): Promise<Lock | undefined> {
  return await withPath(path, async () => {
    // once more after an abandoned lock was broken
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const nonce = await createLockFile(path);
      if (nonce !== undefined) return held(path, nonce);
      const holder = await readLockFile(path);
      if (holder !== undefined && !isAbandoned(holder)) return undefined;
      if (holder !== undefined) await breakAbandoned(path, holder);
    }
    return undefined;
  });
}

async function acquire(path: string, { timeoutMs = 30_000, signal }: LockOptions): Promise<Lock> {
  const deadline = Date.now() + timeoutMs;
  for (let wait = 2; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    signal?.throwIfAborted();
    const lock = await tryLock(path);
    if (lock !== undefined) return lock;
    if (Date.now() >= deadline) throw await busy(path);
    // a random share keeps the waiters from polling in step
    await delay(wait * (0.5 + Math.random()), undefined, { signal: signal ?? undefined }).catch(() => undefined);
  }
}

async function busy(path: string): Promise<KitError> {
  const holder = await readLockFile(path).catch(() => undefined);
  const who = holder === undefined ? 'another process' : describeHolder(holder);
  return new KitError('STORE_BUSY', `${path} is held by ${who}`, { hint: 'wait until it has finished, then run the command again' });
}

function held(path: string, nonce: string): Lock {
  const stop = keepFresh(path);
  return {
    async release() {
      stop();
      await removeLockFile(path, nonce);
    },
  };
}
