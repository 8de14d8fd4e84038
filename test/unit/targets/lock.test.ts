import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe as suite, expect, test } from 'vitest';
import { breakAbandoned, type LockHolder } from '../../../src/targets/lock-file.ts';
import { tryLock, withLock } from '../../../src/targets/lock.ts';
import { ownIdentity } from '../../../src/targets/process-identity.ts';

const script = new URL('lock-process.ts', import.meta.url);
let directory: string;
let lock: string;
let children: ChildProcess[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ocikit-lock-'));
  lock = join(directory, 'x.lock');
  children = [];
});
afterEach(async () => {
  for (const child of children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) await kill(child);
  await rm(directory, { recursive: true });
});

function start(...args: string[]): ChildProcess {
  const child = fork(script, args);
  children.push(child);
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const exit = exitOf(child);
  child.kill('SIGKILL');
  await exit;
}

async function exitOf(child: ChildProcess): Promise<unknown> {
  const [code] = (await once(child, 'exit')) as unknown[];
  return code;
}

test('one holder at a time within a process, in the order of asking', async () => {
  const order: number[] = [];
  let inside = 0;
  await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      await withLock(lock, async () => {
        inside += 1;
        expect(inside).toBe(1);
        await delay(0);
        order.push(index);
        inside -= 1;
      });
    }),
  );
  expect(order).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect(await readdir(directory)).toEqual([]);
});

test('the lock is given back when the work fails', async () => {
  await expect(withLock(lock, async () => await Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(await withLock(lock, async () => await Promise.resolve('again'))).toBe('again');
});

test('one holder at a time across processes, also while all of them break the lock of a dead one', { timeout: 60_000 }, async () => {
  const counter = join(directory, 'counter');
  await writeFile(counter, '0');
  const holder = start('hold', lock);
  await once(holder, 'message');
  await kill(holder);
  expect(await readFile(lock, 'utf8')).toContain(`"pid":${String(holder.pid)}`);

  const counters = Array.from({ length: 4 }, () => start('count', lock, counter, '25'));
  expect(await Promise.all(counters.map(exitOf))).toEqual([0, 0, 0, 0]);
  expect(await readFile(counter, 'utf8')).toBe('100');
  expect(await readdir(directory)).toEqual(['counter']);
});

test('STORE_BUSY names the holder', async () => {
  const holder = start('hold', lock);
  await once(holder, 'message');
  await expect(withLock(lock, async () => await Promise.resolve(), { timeoutMs: 30 })).rejects.toMatchObject({
    code: 'STORE_BUSY',
    message: expect.stringContaining(`process ${String(holder.pid)}`) as string,
  });
  expect(await tryLock(lock)).toBeUndefined();
  await kill(holder);
  expect(await withLock(lock, async () => await Promise.resolve('mine'))).toBe('mine');
});

test('waiting can be aborted', async () => {
  const first = await tryLock(lock);
  const abort = new AbortController();
  const waiting = withLock(lock, async () => await Promise.resolve(), { signal: abort.signal });
  abort.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await first?.release();
});

interface Left {
  readonly title: string;
  readonly content: string;
  readonly ageMs: number;
  readonly free: boolean;
}

const elsewhere = { ...ownIdentity(), host: `not-${hostname()}`, nonce: 'aaaaaaaaaaaa' };
const LEFT: readonly Left[] = [
  { title: 'a pid that was used again', content: JSON.stringify({ ...ownIdentity(), started: '1', nonce: 'b' }), ageMs: 0, free: true },
  { title: 'this very process', content: JSON.stringify({ ...ownIdentity(), nonce: 'c' }), ageMs: 3_600_000, free: false },
  { title: 'another host, lately', content: JSON.stringify(elsewhere), ageMs: 50_000, free: false },
  { title: 'another host, long ago', content: JSON.stringify(elsewhere), ageMs: 70_000, free: true },
  { title: 'another container, lately', content: JSON.stringify({ ...ownIdentity(), space: 'x', nonce: 'd' }), ageMs: 0, free: false },
  { title: 'an empty file, lately', content: '', ageMs: 0, free: false },
  { title: 'an empty file, long ago', content: '', ageMs: 70_000, free: true },
  { title: 'no JSON, long ago', content: '{"pid":', ageMs: 70_000, free: true },
  { title: 'JSON of another kind, long ago', content: '[1]', ageMs: 70_000, free: true },
];

test.each(LEFT)('a lock file of $title', async ({ content, ageMs, free }) => {
  await writeFile(lock, content);
  const then = new Date(Date.now() - ageMs);
  await utimes(lock, then, then);
  const taken = await tryLock(lock);
  expect(taken !== undefined).toBe(free);
  await taken?.release();
  expect(await readdir(directory)).toEqual(free ? [] : ['x.lock']);
});

test('a lock that was taken over is not given back by its former holder', async () => {
  const first = await tryLock(lock);
  await rm(lock);
  const second = await tryLock(lock);
  await first?.release();
  expect(await readdir(directory)).toEqual(['x.lock']);
  await second?.release();
  expect(await readdir(directory)).toEqual([]);
});

suite('breaking an abandoned lock', () => {
  const dead = { ...ownIdentity(), started: '1' };
  const abandoned: LockHolder = { nonce: 'deaddeaddead0001', process: dead, startedAt: undefined, modifiedMs: 0 };

  test('leaves a lock that has taken its place', async () => {
    const mine = await tryLock(lock);
    await breakAbandoned(lock, abandoned);
    expect(await readdir(directory)).toEqual(['x.lock']);
    await mine?.release();
  });

  test('leaves it to the one process that has the right to', async () => {
    await writeFile(lock, JSON.stringify({ ...dead, nonce: abandoned.nonce }));
    const right = await tryLock(`${lock}.deaddeaddead`);
    await breakAbandoned(lock, abandoned);
    expect((await readdir(directory)).toSorted()).toEqual(['x.lock', 'x.lock.deaddeaddead']);
    expect(await tryLock(lock)).toBeUndefined();
    await right?.release();
    await breakAbandoned(lock, abandoned);
    expect(await readdir(directory)).toEqual([]);
  });

  test('goes on after the breaker was killed in turn', async () => {
    await writeFile(lock, JSON.stringify({ ...dead, nonce: abandoned.nonce }));
    await writeFile(`${lock}.deaddeaddead`, JSON.stringify({ ...dead, nonce: 'deaddeaddead0002' }));
    expect(await withLock(lock, async () => await Promise.resolve('mine'))).toBe('mine');
    expect(await readdir(directory)).toEqual([]);
  });
});
