import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { expect, onTestFinished, test, type TestContext, vi } from 'vitest';
import { pack, type PackArguments, type PackResult } from '../../../src/operations/pack/pack.ts';
import { layerSource } from '../../../src/operations/pack/plan-layers.ts';
import { digestHex } from '../../../src/oci/digest.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { startRegistry, type TestRegistry } from '../../support/registry.ts';
import { settle, type Workspace, workspace } from './sandbox.ts';

// what is read is counted where files are read
const read = vi.hoisted(() => ({ layers: [] as string[] }));
vi.mock(import('../../../src/blobs/layer.ts'), async (original) => {
  const { rawLayer, tarLayer } = await original();
  const noting = (source: ReturnType<typeof tarLayer>, name: string): ReturnType<typeof tarLayer> => ({
    size: source.size,
    open: (range, signal) => {
      read.layers.push(name);
      return source.open(range, signal);
    },
  });
  return {
    rawLayer: (entry) => noting(rawLayer(entry), entry.path),
    tarLayer: (entries) => noting(tarLayer(entries), entries.at(-1)?.path ?? ''),
  };
});

const KITFILE = 'manifestVersion: 1.0.0\nmodel:\n  path: model.bin\ncode:\n  - path: src\n';
const FILES = { 'in/Kitfile': KITFILE, 'in/model.bin': 'weights', 'in/src/a.py': 'a', 'in/src/b.py': 'b' };

function prepare(context: TestContext): Workspace {
  const space = workspace();
  space.write(FILES);
  mkdirSync(space.home);
  settle(context, space.root);
  read.layers = [];
  return space;
}

async function packing(space: Workspace, args: Partial<PackArguments> = {}): Promise<PackResult & { read: string[] }> {
  read.layers = [];
  const result = await pack(space.kit, { directory: space.path('in'), destination: parseLocation('m:v1'), ...args }, space.call);
  return { ...result, read: read.layers.toSorted() };
}

/** What packing gives where nothing is known from before. */
async function afresh(space: Workspace, args: Partial<PackArguments> = {}): Promise<string> {
  const other = workspace();
  const { digest } = await pack(other.kit, { directory: space.path('in'), ...args });
  return digest;
}

const cacheFile = (space: Workspace): string => space.path('home/cache/layers');
const ALL = ['model.bin', 'src/b.py'];

test('unchanged files are not read again', async (context) => {
  const space = prepare(context);
  const first = await packing(space);
  expect(first.read).toEqual(ALL);
  space.events.length = 0;
  const second = await packing(space);
  expect(second.read).toEqual([]);
  expect(second.digest).toBe(first.digest);
  expect(second.layers.map(({ existed }) => existed)).toEqual([true, true]);
  expect(space.events.flatMap((event) => (event.type === 'done' ? [event.outcome] : []))).toEqual(['exists', 'exists']);
  expect(space.events.some(({ type }) => type === 'bytes')).toBe(false);
});

test('one changed file costs its layer', async (context) => {
  const space = prepare(context);
  await packing(space);
  space.write({ 'in/src/a.py': 'A' });
  const { read: again, digest } = await packing(space);
  expect(again).toEqual(['src/b.py']);
  expect(digest).toBe(await afresh(space));
});

test('--no-cache reads everything, and remembers it', async (context) => {
  const space = prepare(context);
  await packing(space);
  expect((await packing(space, { cache: false })).read).toEqual(ALL);
  rmSync(cacheFile(space));
  await packing(space, { cache: false });
  expect((await packing(space)).read).toEqual([]);
});

test('a rewrite that keeps size and mtime is noticed', async (context) => {
  const space = prepare(context);
  utimesSync(space.path('in/model.bin'), 1000, 1000);
  await packing(space);
  const { ctimeNs } = statSync(space.path('in/model.bin'), { bigint: true });
  do {
    writeFileSync(space.path('in/model.bin'), 'WEIGHTS');
    utimesSync(space.path('in/model.bin'), 1000, 1000);
  } while (statSync(space.path('in/model.bin'), { bigint: true }).ctimeNs === ctimeNs);
  const { read: again, digest } = await packing(space);
  expect(again).toEqual(['model.bin']);
  expect(digest).toBe(await afresh(space));
});

test('another file under the name is noticed, and the same file under another name is another tar layer', async (context) => {
  const space = prepare(context);
  utimesSync(space.path('in/model.bin'), 1000, 1000);
  await packing(space);
  space.write({ 'in/new': 'WEIGHTS' });
  utimesSync(space.path('in/new'), 1000, 1000);
  renameSync(space.path('in/new'), space.path('in/model.bin'));
  expect((await packing(space)).read).toEqual(['model.bin']);
  renameSync(space.path('in/src/b.py'), space.path('in/src/c.py'));
  const { read: again, digest } = await packing(space);
  expect(again).toEqual(['src/c.py']);
  expect(digest).toBe(await afresh(space));
});

test('what was written just before is read again: a second write might not show', async () => {
  const space = workspace();
  space.write(FILES);
  // the clock stands where the last file was written
  const written = statSync(space.path('in/src/b.py')).ctimeMs;
  vi.spyOn(Date, 'now').mockReturnValue(written + 20);
  onTestFinished(() => void vi.restoreAllMocks());
  await packing(space);
  expect((await packing(space)).read).toEqual(ALL);
});

test('compressed layers are known with the digest of their content', async (context) => {
  const space = prepare(context);
  for (const compression of ['gzip', 'zstd'] as const) {
    const first = await packing(space, { compression });
    expect(first.read).toEqual(ALL);
    const second = await packing(space, { compression });
    expect(second.read).toEqual([]);
    expect(second.layers).toEqual(first.layers.map((layer) => ({ ...layer, existed: true })));
    expect(second.digest).toBe(await afresh(space, { compression }));
  }
});

test('a blob that the store lost or that was damaged is packed again', async (context) => {
  const space = prepare(context);
  const { layers, digest } = await packing(space);
  const [model, code] = layers.map(({ descriptor }) => space.path('home/storage/blobs/sha256', digestHex(descriptor.digest)));
  if (model === undefined || code === undefined) throw new Error('two layers were packed');
  const content = readFileSync(code);
  rmSync(model);
  truncateSync(code, 1);
  const again = await packing(space);
  expect(again.read).toEqual(ALL);
  expect(again.digest).toBe(digest);
  expect(again.layers.map(({ existed }) => existed)).toEqual([false, false]);
  expect(readFileSync(code)).toEqual(content);
});

test('torn, foreign and hostile lines of the cache are passed over', async (context) => {
  const space = prepare(context);
  await packing(space);
  const text = readFileSync(cacheFile(space), 'utf8');
  const [one = '', two = ''] = text.split('\n');
  const otherDigest = one.replace(/sha256:\w{4}/, 'sha256:0000');
  for (const broken of [
    otherDigest,
    one.slice(0, -1),
    one.slice(20),
    `${one.slice(0, 100)}${one}`,
    one.replace(/ \d+ /, ' 99 '),
    one.replace(/ \d+ /, ' -1 '),
    `../../etc ${one}`,
    '\0'.repeat(500),
    'x'.repeat(100_000),
  ]) {
    writeFileSync(cacheFile(space), `${broken}\n${two}\n`);
    const { read: again, digest } = await packing(space);
    expect(again).toHaveLength(1);
    expect(digest).toBe(await afresh(space));
  }
  // without the end of its last line, what is added begins a new one
  writeFileSync(cacheFile(space), one.slice(0, 50));
  await packing(space);
  expect((await packing(space)).read).toEqual([]);
});

test('a cache that cannot be read or written to does no harm', async (context) => {
  const space = prepare(context);
  space.write({ 'home/cache': 'a file' });
  await packing(space);
  expect((await packing(space)).read).toEqual(ALL);
  rmSync(space.path('home/cache'));
  space.write({ 'home/cache/layers/x': 'a directory' });
  await packing(space);
  expect((await packing(space)).read).toEqual(ALL);
});

test('the file is rewritten when it has grown', async (context) => {
  const space = prepare(context);
  await packing(space);
  const text = readFileSync(cacheFile(space), 'utf8');
  writeFileSync(cacheFile(space), text.repeat(1000));
  expect((await packing(space)).read).toEqual([]);
  expect(readFileSync(cacheFile(space), 'utf8').split('\n').toSorted()).toEqual(text.split('\n').toSorted());
  expect(readdirSync(space.path('home/cache'))).toEqual(['layers']);
  truncateSync(cacheFile(space), 17 * 1024 * 1024);
  expect((await packing(space)).read).toEqual(ALL);
  expect(statSync(cacheFile(space)).size).toBe(text.length);
});

async function registry(): Promise<TestRegistry> {
  const started = await startRegistry();
  onTestFinished(async () => await started.close());
  return started;
}

const uploads = ({ requests }: TestRegistry): number =>
  requests.filter(({ method, path }) => method === 'POST' && path.includes('/uploads')).length;

test('a push of known layers asks for each once and reads nothing', async (context) => {
  const space = prepare(context);
  const remote = await registry();
  const push = { push: true, destination: parseLocation(`${remote.host}/m:v1`) };
  const first = await packing(space, push);
  remote.clear();
  const second = await packing(space, push);
  expect(second.read).toEqual([]);
  expect(second.digest).toBe(first.digest);
  expect(remote.log().filter((line) => line.includes('/blobs/'))).toEqual(Array(3).fill('HEAD /v2/m/blobs/DIGEST -> 200'));
});

test('a push makes no home for the cache', async (context) => {
  const space = prepare(context);
  rmSync(space.home, { recursive: true });
  const remote = await registry();
  const push = { push: true, destination: parseLocation(`${remote.host}/m:v1`) };
  await packing(space, push);
  expect(existsSync(space.home)).toBe(false);
  expect((await packing(space, push)).read).toEqual(ALL);
});

test('a push of layers known from packing reads each once', async (context) => {
  const space = prepare(context);
  const remote = await registry();
  await packing(space);
  const { read: again } = await packing(space, { push: true, destination: parseLocation(`${remote.host}/m:v1`) });
  expect(again).toEqual(ALL);
});

test('where a registry finds that a known digest is wrong, the files are read again and the digest forgotten', async (context) => {
  const space = prepare(context);
  const remote = await registry();
  await packing(space);
  // as if a file had changed behind its stamp: the cache knows the digest of other content of the same size
  const layers = await import('../../../src/operations/pack/layer-cache.ts');
  const find = vi.spyOn(layers.LayerCache.prototype, 'find');
  find.mockImplementationOnce(
    async () => await Promise.resolve({ digest: `sha256:${'0'.repeat(64)}`, size: 2048, diffId: `sha256:${'0'.repeat(64)}` }),
  );
  const drop = vi.spyOn(layers.LayerCache.prototype, 'drop');
  const { digest } = await packing(space, { push: true, destination: parseLocation(`${remote.host}/m:v1`) });
  expect(drop).toHaveBeenCalledOnce();
  expect(digest).toBe(await afresh(space));
  expect(uploads(remote)).toBeGreaterThanOrEqual(4);
});

test('compressed bytes can be had from the middle', async () => {
  const content = { size: 300_000, open: () => [Buffer.alloc(300_000, 'abc')].values() };
  const plan = {
    compression: 'gzip',
    content: {
      ...content,
      open: async function* () {
        yield* content.open();
      },
    },
  } as unknown as Parameters<typeof layerSource>[0];
  const whole = Buffer.concat(await Array.fromAsync(layerSource(plan).open()));
  for (const [start, end] of [
    [0, whole.length],
    [10, whole.length],
    [10, 20],
    [0, 0],
    [whole.length, whole.length],
  ] as const)
    expect(Buffer.concat(await Array.fromAsync(layerSource(plan).open({ start, end })))).toEqual(whole.subarray(start, end));
});
