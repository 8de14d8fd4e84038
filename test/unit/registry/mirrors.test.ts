import { onTestFinished, describe, expect, test } from 'vitest';
import type { KitEvent } from '../../../src/events.ts';
import { createRegistryClient } from '../../../src/registry/client.ts';
import { type Mirror, type MirrorTable, pullSources } from '../../../src/registry/mirrors.ts';
import type { NetworkOptions } from '../../../src/registry/options.ts';
import { RemoteRepository } from '../../../src/targets/remote.ts';
import { type RegistryOptions, startRegistry, type TestRegistry } from '../../support/registry.ts';
import { collect, emptyManifest, randomBlob } from '../../support/registry-client.ts';

const table = (prefix: string, mirrors: readonly (string | Mirror)[], more: Partial<MirrorTable> = {}): MirrorTable => ({
  prefix,
  file: 'registries.conf',
  mirrors: mirrors.map((mirror) => (typeof mirror === 'string' ? { location: mirror } : mirror)),
  ...more,
});

const places = (tables: readonly MirrorTable[], name: string, reference = 'v1'): string[] => {
  const cut = name.indexOf('/');
  return pullSources(tables, name.slice(0, cut), name.slice(cut + 1), reference).map(
    ({ registry, repository, mirror }) => `${registry}/${repository}${mirror === undefined ? '' : ' (mirror)'}`,
  );
};

describe('where a name is read', () => {
  test.each<[string, MirrorTable[], string, string[]]>([
    ['without a table', [], 'ghcr.io/team/model', ['ghcr.io/team/model']],
    ['of another registry', [table('quay.io', ['m.corp'])], 'ghcr.io/team/model', ['ghcr.io/team/model']],
    [
      'mirrors in order, then the registry',
      [table('ghcr.io', ['a.corp', 'b.corp/ghcr'])],
      'ghcr.io/team/model',
      ['a.corp/team/model (mirror)', 'b.corp/ghcr/team/model (mirror)', 'ghcr.io/team/model'],
    ],
    [
      'the longest prefix wins',
      [table('ghcr.io', ['a.corp']), table('ghcr.io/team', ['b.corp/t']), table('ghcr.io/te', ['c.corp'])],
      'ghcr.io/team/model',
      ['b.corp/t/model (mirror)', 'ghcr.io/team/model'],
    ],
    ['a prefix ends where a name does', [table('ghcr.io/team', ['b.corp'])], 'ghcr.io/teams/model', ['ghcr.io/teams/model']],
    ['a port belongs to the host', [table('reg.corp', ['b.corp'])], 'reg.corp:5000/team/model', ['reg.corp:5000/team/model']],
    [
      'a location moves the registry itself',
      [table('example.com/foo', ['m.local/x'], { location: 'internal.example.net/bar' })],
      'example.com/foo/model',
      ['m.local/x/model (mirror)', 'internal.example.net/bar/model'],
    ],
    [
      'a wildcard matches any depth, and stays as it is without a location',
      [table('*.example.com', ['m.local'])],
      'a.b.example.com/team/model',
      ['m.local/team/model (mirror)', 'a.b.example.com/team/model'],
    ],
    ['a wildcard does not match its domain', [table('*.example.com', ['m.local'])], 'example.com/x', ['example.com/x']],
    ['nor what only contains it', [table('*.example.com', ['m.local'])], 'a.example.com.evil/x', ['a.example.com.evil/x']],
    [
      'a wildcard that moves keeps the port, as containers/image does',
      [table('*.example.com', [], { location: 'm.local' })],
      'a.example.com:5000/x',
      ['m.local:5000/x'],
    ],
    [
      'Docker Hub has its library',
      [table('docker.io/library', ['m.local/hub'])],
      'docker.io/model',
      ['m.local/hub/model (mirror)', 'docker.io/model'],
    ],
    [
      'and several names',
      [table('docker.io', ['m.local'])],
      'registry-1.docker.io/team/model',
      ['m.local/team/model (mirror)', 'registry-1.docker.io/team/model'],
    ],
    ['a prefix may be a whole repository', [table('ghcr.io/a/b', ['m.local/c'])], 'ghcr.io/a/b', ['m.local/c (mirror)', 'ghcr.io/a/b']],
    ['or one tag', [table('ghcr.io/a/b:v1', ['m.local/c:v1'])], 'ghcr.io/a/b', ['m.local/c (mirror)', 'ghcr.io/a/b']],
    ['and not another', [table('ghcr.io/a/b:v2', ['m.local/c:v2'])], 'ghcr.io/a/b', ['ghcr.io/a/b']],
    ['of equal prefixes the first counts', [table('ghcr.io', ['a']), table('ghcr.io', ['b'])], 'ghcr.io/x', ['a/x (mirror)', 'ghcr.io/x']],
  ])('%s', (_, tables, name, expected) => {
    expect(places(tables, name)).toEqual(expected);
  });

  test('mirrors for tags or digests only', () => {
    const mirrors: Mirror[] = [
      { location: 'any.corp' },
      { location: 'digests.corp', pullFromMirror: 'digest-only' },
      { location: 'tags.corp', pullFromMirror: 'tag-only' },
    ];
    expect(places([table('ghcr.io', mirrors)], 'ghcr.io/x', 'v1')).toEqual(['any.corp/x (mirror)', 'tags.corp/x (mirror)', 'ghcr.io/x']);
    expect(places([table('ghcr.io', mirrors)], 'ghcr.io/x', randomBlob(1).blob.digest)).toEqual([
      'any.corp/x (mirror)',
      'digests.corp/x (mirror)',
      'ghcr.io/x',
    ]);
  });

  test('reading can be forbidden', () => {
    expect(() => pullSources([table('ghcr.io', [], { blocked: true })], 'ghcr.io', 'x', 'v1')).toThrowError(
      expect.objectContaining({ code: 'DENIED', message: 'ghcr.io/x:v1: reading it is forbidden by registries.conf' }) as Error,
    );
  });

  test('a location that names no repository is an error', () => {
    expect(() => places([table('ghcr.io/a/b', ['m.local'])], 'ghcr.io/a/b')).toThrowError(/names no repository for ghcr\.io\/a\/b/);
  });
});

interface Fleet {
  readonly origin: TestRegistry;
  readonly mirrors: readonly TestRegistry[];
  readonly events: KitEvent[];
  readonly call: { readonly onEvent: (event: KitEvent) => void };
  readonly source: (reference?: string) => RemoteRepository;
  /** The writing side. */
  readonly repository: () => RemoteRepository;
}

/** A registry and mirrors of its `team` under `copies/team`. */
async function fleet(
  options: readonly RegistryOptions[],
  mirrorOptions: Partial<Mirror> = {},
  network: NetworkOptions = {},
): Promise<Fleet> {
  const [origin, ...mirrors] = await Promise.all([{}, ...options].map((each) => startRegistry(each)));
  if (origin === undefined) throw new Error('no registry');
  const client = createRegistryClient({
    sleep: async () => {},
    env: { HOME: '/nonexistent' },
    mirrors: [
      table(
        origin.host,
        mirrors.map(({ host }) => ({ location: `${host}/copies`, ...mirrorOptions })),
      ),
    ],
    ...network,
  });
  onTestFinished(async () => {
    await client.close();
    await Promise.all([origin, ...mirrors].map((each) => each.close()));
  });
  const events: KitEvent[] = [];
  return {
    origin,
    mirrors,
    events,
    call: { onEvent: (event) => void events.push(event) },
    source: (reference = 'v1') => new RemoteRepository(client.source(origin.host, 'team/model', reference)),
    repository: () => new RemoteRepository(client.repository(origin.host, 'team/model')),
  };
}

async function fill(registry: TestRegistry, repository: string, blobs: readonly Buffer[]): Promise<string> {
  for (const bytes of [Buffer.from('{}'), ...blobs]) await registry.addBlob(repository, bytes);
  return registry.addManifest(repository, emptyManifest(), 'v1').digest;
}

describe('reading through mirrors', () => {
  test('what a mirror has never reaches the registry', async () => {
    const { origin, mirrors, source, events, call } = await fleet([{}]);
    const [mirror] = mirrors as [TestRegistry];
    const { blob, bytes } = randomBlob(3_000_000);
    const digest = await fill(mirror, 'copies/team/model', [bytes]);
    const target = source();
    const manifest = await target.resolve('v1', call);
    expect(manifest.digest).toBe(digest);
    expect(await collect(await target.fetch(manifest, call))).toEqual(emptyManifest());
    expect((await collect(await target.fetch(blob, call))).equals(bytes)).toBe(true);
    expect((await collect(await target.fetch(blob, { ...call, range: { start: 10, end: 20 } }))).equals(bytes.subarray(10, 20))).toBe(true);
    expect(await target.has(blob, call)).toBe(true);
    expect(origin.requests).toEqual([]);
    expect(events.filter(({ type }) => type === 'note')).toEqual([
      { type: 'note', message: `reading from mirror ${mirror.host}/copies/team/model (${mirror.url})` },
    ]);
    // users know it by its own name
    expect(target.name).toBe(`${origin.host}/team/model`);
  });

  test('what it lacks comes from the next, and then from the registry', async () => {
    const { origin, mirrors, source, call } = await fleet([{}, {}]);
    const [first, second, third] = [randomBlob(1000), randomBlob(2000), randomBlob(3000)];
    await fill(mirrors[0] as TestRegistry, 'copies/team/model', [first.bytes]);
    await fill(mirrors[1] as TestRegistry, 'copies/team/model', [second.bytes]);
    await fill(origin, 'team/model', [third.bytes]);
    const target = source();
    for (const { blob, bytes } of [first, second, third]) expect((await collect(await target.fetch(blob, call))).equals(bytes)).toBe(true);
    expect(origin.log()).toEqual(['GET /v2/team/model/blobs/DIGEST -> 200']);
    expect(await target.has(third.blob)).toBe(true);
    expect(await target.has(randomBlob(1).blob)).toBe(false);
  });

  test.each(['socket', 'parser'] as const)(
    'a mirror that loses a blob in the middle is followed by the registry, from there on (%s)',
    async (bodyReader) => {
      const { origin, mirrors, source, call, events } = await fleet([{}], {}, { bodyReader });
      const [mirror] = mirrors as [TestRegistry];
      const { blob, bytes } = randomBlob(5_000_000);
      await fill(mirror, 'copies/team/model', [bytes]);
      await fill(origin, 'team/model', [bytes]);
      mirror.behaviour.cutDownloads.push(2_000_000);
      mirror.behaviour.faults.push({ match: /GET .*blobs/, skip: 1, status: 404 });
      expect((await collect(await source().fetch(blob, call))).equals(bytes)).toBe(true);
      const asked = origin.requests.map(({ headers }) => headers.range ?? '');
      expect(asked).toHaveLength(1);
      // it goes on where the mirror stopped
      expect(Number(/^bytes=(\d+)-4999999$/.exec(asked[0] ?? '')?.[1])).toBeGreaterThan(500_000);
      expect(events).toContainEqual({
        type: 'note',
        message: expect.stringContaining(`${mirror.host}/copies/team/model: going on elsewhere`) as unknown,
      });
    },
  );

  test('a mirror that is not there costs one attempt in a run, and a warning', async () => {
    const { origin, mirrors, source, call, events } = await fleet([{}]);
    const [mirror] = mirrors as [TestRegistry];
    await mirror.close();
    const blobs = [randomBlob(10), randomBlob(20)];
    await fill(
      origin,
      'team/model',
      blobs.map(({ bytes }) => bytes),
    );
    const target = source();
    await target.resolve('v1', call);
    for (const { blob } of blobs) await collect(await target.fetch(blob, call));
    expect(events.filter(({ type }) => type === 'warning')).toEqual([
      {
        type: 'warning',
        code: 'MIRROR_UNREACHABLE',
        message: expect.stringContaining(`mirror ${mirror.host}/copies/team/model is left out`) as unknown,
      },
    ]);
    expect(events.filter(({ type }) => type === 'retry')).toEqual([]);
  });

  test.each([401, 403, 404, 429, 500, 503])('a mirror that answers %i is passed over without a pause', async (status) => {
    const { origin, mirrors, source, call, events } = await fleet([{}]);
    (mirrors[0] as TestRegistry).behaviour.faults.push({ status }, { status }, { status }, { status });
    const { blob, bytes } = randomBlob(10);
    const digest = await fill(origin, 'team/model', [bytes]);
    const target = source();
    expect((await target.resolve('v1', call)).digest).toBe(digest);
    expect((await collect(await target.fetch(blob, call))).equals(bytes)).toBe(true);
    expect(events.filter(({ type }) => type === 'retry')).toEqual([]);
  });

  test('a manifest that a mirror has changed is not taken from it', async () => {
    const { origin, mirrors, source, call, events } = await fleet([{}]);
    const digest = await fill(origin, 'team/model', []);
    const [mirror] = mirrors as [TestRegistry];
    await fill(mirror, 'copies/team/model', []);
    mirror.behaviour.faults.push({
      match: /GET .*manifests/,
      status: 200,
      body: '{"schemaVersion":2}',
      headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
    });
    const descriptor = {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: digest as `sha256:${string}`,
      size: emptyManifest().byteLength,
    };
    expect(await collect(await source(digest).fetch(descriptor, call))).toEqual(emptyManifest());
    expect(events).toContainEqual(expect.objectContaining({ type: 'warning', code: 'DIGEST_MISMATCH' }));
  });

  test('the error is that of the registry, with what the mirrors said', async () => {
    const { origin, mirrors, source } = await fleet([{}]);
    const error: unknown = await source()
      .resolve('v1')
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      message: expect.stringMatching(
        new RegExp(`^${origin.host}/team/model:v1: .*; tried before: ${mirrors[0]?.host}/copies/team/model:v1: .*404`),
      ) as unknown,
    });
  });

  test('writes, and reads for the sake of writing, go to the registry only', async () => {
    const { origin, mirrors, repository } = await fleet([{}]);
    const { blob, bytes } = randomBlob(100);
    await fill(mirrors[0] as TestRegistry, 'copies/team/model', [bytes]);
    const target = repository();
    expect(await target.has(blob)).toBe(false);
    await target.push(blob, { size: 100, open: () => once(bytes) });
    expect(mirrors[0]?.requests).toEqual([]);
    expect(origin.requests.length).toBeGreaterThan(1);
  });

  test('lists are those of the registry, and of a mirror where that cannot be reached', async () => {
    const { origin, mirrors, source } = await fleet([{}]);
    const [mirror] = mirrors as [TestRegistry];
    mirror.addManifest('copies/team/model', emptyManifest(), 'stale');
    await mirror.addBlob('copies/team/model', Buffer.from('{}'));
    await fill(origin, 'team/model', []);
    expect(await Array.fromAsync(source().can.tags?.() ?? [])).toEqual(['v1']);
    expect(mirror.requests).toEqual([]);
    await origin.close();
    expect(await Array.fromAsync(source().can.tags?.() ?? [])).toEqual(['stale']);
  });

  test('each is given its own credentials, or those that are named', async () => {
    const auth = { type: 'basic', username: 'u', password: 'p' } as const;
    const credentials = { 'origin.example': { username: 'u', password: 'p' } };
    const [without, withThem] = [
      await fleet([{ auth }], {}, { credentials }),
      await fleet([{ auth }], { credentials: 'origin.example' }, { credentials }),
    ];
    for (const { mirrors } of [without, withThem]) await fill(mirrors[0] as TestRegistry, 'copies/team/model', []);
    await expect(without.source().resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    expect((await withThem.source().resolve('v1')).size).toBe(emptyManifest().byteLength);
    expect(withThem.origin.requests).toEqual([]);
  });

  test('headers go to the mirror, and to no storage behind it', async () => {
    const headers = { 'X-Dragonfly-Registry': 'https://ghcr.io' };
    const { mirrors, source } = await fleet([{ behaviour: { redirectBlobs: 'foreign' } }], { headers });
    const [mirror] = mirrors as [TestRegistry];
    const { blob, bytes } = randomBlob(100);
    await fill(mirror, 'copies/team/model', [bytes]);
    await source().resolve('v1');
    await collect(await source().fetch(blob));
    const seen = mirror.requests.map((request) => [request.origin, request.headers['x-dragonfly-registry']]);
    expect(seen).toEqual([
      ['registry', 'https://ghcr.io'],
      ['registry', 'https://ghcr.io'],
      ['foreign', undefined],
    ]);
  });

  test('an insecure mirror is one place, whatever it speaks', async () => {
    const { origin, mirrors, source, call } = await fleet([{}], { insecure: true });
    const [mirror] = mirrors as [TestRegistry];
    const digest = await fill(mirror, 'copies/team/model', []);
    expect((await source().resolve('v1', call)).digest).toBe(digest);
    expect(origin.requests).toEqual([]);
    // it has answered: there is no need to ask it in another way
    await expect(source('v2').resolve('v2', call)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    expect(mirror.log()).toHaveLength(3);
  });

  test('an abort is no reason to ask elsewhere', async () => {
    const { origin, mirrors, source } = await fleet([{}]);
    const abort = new AbortController();
    (mirrors[0] as TestRegistry).behaviour.onRequest = () => abort.abort(new Error('stop'));
    await fill(mirrors[0] as TestRegistry, 'copies/team/model', []);
    await expect(source().fetch(randomBlob(1).blob, { signal: abort.signal })).rejects.toThrow('stop');
    expect(origin.requests).toEqual([]);
  });
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
