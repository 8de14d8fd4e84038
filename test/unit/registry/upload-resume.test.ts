import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { KitError } from '../../../src/errors.ts';
import { createRegistryClient } from '../../../src/registry/client.ts';
import type { RegistryOptions, TestRegistry } from '../../support/registry.ts';
import { collect, connect, type Content, randomBlob } from '../../support/registry-client.ts';

const SIZE = 500_000;
const CHUNK = 100_000;

interface Setting extends Content {
  readonly registry: TestRegistry;
  readonly home: string;
  readonly records: string;
  /** One run of a program that pushes the blob; `signal` ends it early. */
  readonly run: (signal?: AbortSignal) => Promise<void>;
  recordNames(): Promise<string[]>;
  /** The status and the range of each chunk since the last `clear`. */
  chunks(): (string | undefined)[];
}

async function setting(options: RegistryOptions = {}): Promise<Setting> {
  const { registry } = await connect(options);
  const home = await mkdtemp(join(tmpdir(), 'kit-uploads-'));
  onTestFinished(() => rm(home, { recursive: true, force: true }));
  const content = randomBlob(SIZE);
  const records = join(home, 'uploads');
  return {
    ...content,
    registry,
    home,
    records,
    run: async (signal) => {
      const network = { home, env: {}, sleep: () => Promise.resolve(), chunkSizes: { [registry.host]: CHUNK } };
      const client = createRegistryClient(network);
      try {
        const repository = client.repository(registry.host, 'team/model');
        await repository.uploadBlob(content.blob, bytesSource(content.bytes), signal === undefined ? {} : { signal });
      } finally {
        await client.close();
      }
    },
    recordNames: () => readdir(records).catch(() => []),
    chunks: () => registry.requests.filter(({ method }) => method === 'PATCH').map(({ headers }) => headers['content-range']),
  };
}

/** Ends a run in its chunk number `count`. */
async function interrupt({ registry, run }: Setting, count = 3): Promise<void> {
  const controller = new AbortController();
  let patches = 0;
  const gate = Promise.withResolvers<void>();
  registry.behaviour.onRequest = () => {
    patches = registry.requests.filter(({ method }) => method === 'PATCH').length;
    if (patches !== count || controller.signal.aborted) return;
    registry.behaviour.uploadGate = gate.promise;
    controller.abort(new Error('stop'));
  };
  await expect(run(controller.signal)).rejects.toThrowError('stop');
  gate.resolve();
  registry.behaviour.uploadGate = undefined;
  registry.behaviour.onRequest = undefined;
  registry.clear();
}

/** As if the process of the last run had been killed: its record names a process that is gone. */
async function orphan({ records }: Setting, change: Readonly<Record<string, unknown>> = {}): Promise<void> {
  for (const name of await readdir(records)) {
    const path = join(records, name);
    const record = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
    await writeFile(path, JSON.stringify({ ...record, pid: 2 ** 30, ...change }));
  }
}

describe('a later run of an upload in chunks', () => {
  test('goes on where the registry says it is, and leaves no record', async () => {
    const set = await setting();
    await interrupt(set);
    expect(await set.recordNames()).toHaveLength(1);
    await set.run();
    expect(set.registry.log().slice(0, 1)).toEqual(['GET /v2/team/model/blobs/uploads/ID -> 204']);
    expect(set.chunks()[0]).toMatch(/^[2-3]00000-/);
    expect(set.registry.log().filter((line) => line.startsWith('POST'))).toEqual([]);
    expect(await set.recordNames()).toEqual([]);
    expect(set.registry.storage.uploads.size).toBe(0);
    expect((await collect(set.registry.storage.read(set.blob.digest, 0, SIZE))).equals(set.bytes)).toBe(true);
  });

  test('goes on after a kill too', async () => {
    const set = await setting();
    await interrupt(set);
    await orphan(set);
    await set.run();
    expect(set.chunks()[0]).toMatch(/^[2-3]00000-/);
  });

  test('goes on after an error that ended the first', async () => {
    const set = await setting();
    set.registry.behaviour.faults.push({ match: /^PATCH.*state=3/, status: 403 });
    await expect(set.run()).rejects.toMatchObject({ code: 'DENIED' });
    set.registry.clear();
    await set.run();
    expect(set.chunks()).toEqual(['200000-299999', '300000-399999', '400000-499999']);
  });

  test.each([404, 400] as const)('starts over without a word where the session is gone (%i)', async (status) => {
    const set = await setting();
    await interrupt(set);
    set.registry.behaviour.faults.push({ match: /^GET.*uploads/, status });
    await set.run();
    expect(set.chunks()).toHaveLength(5);
    expect(await set.recordNames()).toEqual([]);
  });

  test('starts over where the registry dropped what broke', async () => {
    const set = await setting({ behaviour: { keepsBroken: false } });
    set.registry.behaviour.cutUploads.push(0);
    await set.run();
    expect(set.chunks()).toEqual(['0-99999', '0-99999', '100000-199999', '200000-299999', '300000-399999', '400000-499999']);
  });

  test('starts over when what the registry kept was something else', async () => {
    const set = await setting();
    await interrupt(set);
    for (const upload of set.registry.storage.uploads.values()) upload.chunks[0]?.fill(0);
    await set.run();
    expect(set.chunks()[0]).toMatch(/^[2-3]00000-/);
    expect(set.chunks()).toContain('0-99999');
    expect((await collect(set.registry.storage.read(set.blob.digest, 0, SIZE))).equals(set.bytes)).toBe(true);
  });

  test('does not touch a session that another process is using', async () => {
    const set = await setting();
    await interrupt(set);
    // the process that started this one is alive
    await orphan(set, { pid: process.ppid });
    await set.run();
    expect(set.chunks()[0]).toBe('0-99999');
  });

  test('leaves alone what another upload of this process is doing', async () => {
    const set = await setting();
    await Promise.all([set.run(), set.run()]);
    expect(set.chunks()).toHaveLength(10);
  });

  test('forgets sessions that are a week old', async () => {
    const set = await setting();
    await interrupt(set);
    const [name = ''] = await set.recordNames();
    const old = new Date(Date.now() - 8 * 24 * 3_600_000);
    await utimes(join(set.records, name), old, old);
    await writeFile(join(set.records, 'other.json'), '{}');
    await utimes(join(set.records, 'other.json'), old, old);
    await set.run();
    expect(set.chunks()[0]).toBe('0-99999');
    expect(await set.recordNames()).toEqual([]);
  });

  test.each(['', '{', '[]', '{"location":7,"pid":1}', '{"location":"/x"}'])('does not mind the record %j', async (text) => {
    const set = await setting();
    await interrupt(set);
    const [name = ''] = await set.recordNames();
    await writeFile(join(set.records, name), text);
    await set.run();
    expect(set.chunks()[0]).toBe('0-99999');
  });
});

describe('a record', () => {
  test('is for the user alone: a Location can be a secret', async () => {
    const set = await setting();
    await interrupt(set);
    const [name = ''] = await set.recordNames();
    expect(name).toMatch(/^[0-9a-f]{64}\.json$/);
    expect((await stat(join(set.records, name))).mode & 0o777).toBe(0o600);
    expect((await stat(set.records)).mode & 0o777).toBe(0o700);
  });

  test('is not kept of content that is wrong', async () => {
    const set = await setting();
    const client = createRegistryClient({ home: set.home, env: {}, chunkSizes: { [set.registry.host]: CHUNK } });
    onTestFinished(() => client.close());
    const repository = client.repository(set.registry.host, 'team/model');
    await expect(repository.uploadBlob(set.blob, bytesSource(randomBlob(SIZE).bytes))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    const failure = new KitError('SOURCE_CHANGED', 'model.bin: changed');
    const source = {
      size: SIZE,
      async *open(range?: { start: number }) {
        if ((range?.start ?? 0) > 0) throw failure;
        yield* bytesSource(set.bytes).open({ start: 0, end: CHUNK });
      },
    };
    await expect(repository.uploadBlob(set.blob, source)).rejects.toBe(failure);
    expect(await set.recordNames()).toEqual([]);
    expect(set.registry.storage.uploads.size).toBe(0);
  });

  test('is not kept where nothing has arrived', async () => {
    const set = await setting();
    set.registry.behaviour.faults.push({ match: /^PATCH/, status: 403 });
    await expect(set.run()).rejects.toMatchObject({ code: 'DENIED' });
    expect(await set.recordNames()).toEqual([]);
    expect(set.registry.storage.uploads.size).toBe(0);
  });

  test('that names no http address is left aside', async () => {
    const set = await setting();
    await interrupt(set);
    await orphan(set, { location: 'ftp://elsewhere.example/x' });
    await set.run();
    expect(set.chunks()[0]).toBe('0-99999');
  });
});

test('the token of a long upload may end between any of its chunks', async () => {
  const { registry, target } = await connect({ auth: { type: 'bearer', username: 'u', password: 'p' } }, (host) => ({
    credentials: { [host]: { username: 'u', password: 'p' } },
    chunkSizes: { [host]: CHUNK },
  }));
  const { blob, bytes } = randomBlob(SIZE);
  // each chunk meets an expired token once
  registry.behaviour.onRequest = () => {
    const [before, last] = registry.requests.filter(({ method }) => method !== 'GET').slice(-2);
    if (last?.method === 'PATCH' && registry.requests.at(-1) === last && before?.status !== 401) registry.auth.revokeTokens();
  };
  await target.push(blob, bytesSource(bytes));
  expect(registry.requests.filter(({ status }) => status === 401).length).toBeGreaterThanOrEqual(5);
  expect(registry.requests.filter(({ method }) => method === 'POST')).toHaveLength(2);
  expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
});
