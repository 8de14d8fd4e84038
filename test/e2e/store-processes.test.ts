import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describe } from '../../src/oci/descriptor.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { openStore } from '../../src/targets/store.ts';
import { pushSample } from '../unit/targets/sample.ts';

const script = new URL('store-process.ts', import.meta.url);
let home: string;
let children: ChildProcess[];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'ocikit-processes-'));
  children = [];
});
afterEach(async () => {
  for (const child of children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) await kill(child);
  await rm(home, { recursive: true });
});

function start(...args: string[]): ChildProcess {
  const child = fork(script, args);
  children.push(child);
  return child;
}

async function exitOf(child: ChildProcess): Promise<unknown> {
  const [code] = (await once(child, 'exit')) as unknown[];
  return code;
}

async function kill(child: ChildProcess): Promise<void> {
  const exit = exitOf(child);
  child.kill('SIGKILL');
  await exit;
}

test('four processes that write to one store at the same time lose nothing', { timeout: 60_000 }, async () => {
  const names = ['a', 'b', 'c', 'd'];
  const writers = names.map((name) => start('write', home, name, '12'));
  expect(await Promise.all(writers.map(exitOf))).toEqual([0, 0, 0, 0]);

  const store = await openStore(home);
  const entries = await store.list();
  expect(entries.filter(({ repository }) => repository === 'shared').flatMap(({ tags }) => tags)).toHaveLength(4 * 6);
  expect(entries.flatMap(({ tags }) => tags).toSorted()).toEqual(
    names.flatMap((name) => Array.from({ length: 12 }, (_, number) => `${name}-${number}`)).toSorted(),
  );
  for (const { repository, descriptor } of entries) expect(await store.repository(repository).has(descriptor)).toBe(true);
  const blobs = await Array.fromAsync(store.blobs.list());
  // per artifact a config, a layer of its own and a manifest, and 12 layers that all share
  expect(blobs).toHaveLength(4 * 12 * 3 + 12);
  for (const { digest } of blobs) expect(digestOf(await readFile(store.blobs.pathOf(digest)))).toBe(digest);
  expect(await readdir(join(store.storage, 'ingest'))).toEqual([]);
  expect(await readdir(join(store.storage, 'leases'))).toEqual([]);
  expect((await readdir(store.storage)).filter((name) => name.startsWith('.') || name.includes('.lock'))).toEqual([]);
});

test('garbage waits for a process that is adding blobs, and not for one that was killed', { timeout: 60_000 }, async () => {
  const store = await openStore(home);
  const { manifest } = await pushSample(store.repository('tiny'), 'tiny');
  await store.remove('tiny', manifest.digest);
  const busy = start('lease', home);
  await once(busy, 'message');
  const arriving = describe('application/octet-stream', Buffer.from('a blob that no manifest reaches yet'));

  const held = await store.collectGarbage();
  expect(held).toMatchObject({ blobs: [], bytes: 0 });
  expect(held.heldBy.map((holder) => holder.process?.pid)).toEqual([busy.pid]);
  expect(await store.blobs.has(arriving)).toBe(true);
  await kill(busy);
  expect((await store.collectGarbage()).blobs).toHaveLength(4);
  expect(await store.blobs.has(arriving)).toBe(false);
});

test('writers that are killed at any moment leave a store that works', { timeout: 60_000 }, async () => {
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
    const child = start('write', home, name, '1000');
    // killed somewhere in its second artifact or later: when is up to chance, the result must not be
    const store = await openStore(home);
    await expect
      .poll(async () => (await store.list()).some(({ tags }) => tags.includes(`${name}-0`)), { timeout: 20_000, interval: 3 })
      .toBe(true);
    await kill(child);
    for (const { repository, descriptor, tags } of await store.list()) {
      for (const tag of tags) expect((await store.repository(repository).resolve(tag)).digest).toBe(descriptor.digest);
      expect(await store.blobs.has(descriptor)).toBe(true);
    }
    const after = await pushSample(store.repository('after'), name);
    await store.tag('after', after.manifest, name);
  }
  const store = await openStore(home);
  expect(await store.collectGarbage({ partials: true })).toMatchObject({ heldBy: [] });
  expect(await readdir(join(store.storage, 'ingest'))).toEqual([]);
  const tags = (await store.list()).filter(({ repository }) => repository === 'after').flatMap((entry) => entry.tags);
  expect(tags).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
});
