import { access, cp, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe as suite, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import type { Digest } from '../../../src/oci/digest.ts';
import { openStore, type Store } from '../../../src/targets/store.ts';
import { pushIndex, pushSample } from './sample.ts';

const fixtures = join(import.meta.dirname, '../../../fixtures/golden');
let home: string;
let store: Store;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'ocikit-store-'));
  store = await openStore(home);
});
afterEach(async () => {
  await rm(home, { recursive: true });
});

async function names(): Promise<string[]> {
  return (await store.list()).flatMap(({ repository, tags, descriptor: { digest } }) =>
    tags.length === 0 ? [`${repository}@${digest.slice(7, 11)}`] : tags.map((tag) => `${repository}:${tag}`),
  );
}

async function readJson(file: string): Promise<unknown> {
  return JSON.parse(await readFile(join(store.storage, file), 'utf8')) as unknown;
}

async function entries(): Promise<Descriptor[]> {
  return ((await readJson('index.json')) as { manifests: Descriptor[] }).manifests;
}

async function count(): Promise<number> {
  return (await Array.fromAsync(store.blobs.list())).length;
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

async function useGolden(): Promise<void> {
  await cp(join(fixtures, 'kit-home'), home, { recursive: true });
  store = await openStore(home);
}

function refName(name: string) {
  return { annotations: { 'org.opencontainers.image.ref.name': name, mine: 'kept' } };
}

suite('reading', () => {
  test('nothing is made where there is nothing', async () => {
    const repository = store.repository('tiny');
    expect(await store.list()).toEqual([]);
    await expect(repository.resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    expect(await repository.has(describe('application/octet-stream', Buffer.from('x')))).toBe(false);
    expect((await store.collectGarbage()).blobs).toHaveLength(0);
    expect(await readdir(home)).toEqual([]);
  });

  test('a storage of another version is refused', async () => {
    await mkdir(join(home, 'storage'));
    await writeFile(join(home, 'storage', 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}');
    await expect(openStore(home)).rejects.toMatchObject({ code: 'STORE_INVALID', message: expect.stringContaining('2.0.0') as string });
  });

  test.each(['index.json', 'bG9jYWxob3N0L3Rpbnk=-index.json', 'bG9jYWxob3N0L3Rpbnk=-tags.json'])(
    'a broken %s is named, not overwritten',
    async (file) => {
      const { manifest } = await pushSample(store.repository('tiny'), 'a');
      await store.tag('tiny', manifest, 'v1');
      await writeFile(join(store.storage, file), '{"schemaVersion":2,"manif');
      await expect(store.list()).rejects.toMatchObject({ code: 'STORE_INVALID', message: expect.stringContaining(file) as string });
      await expect(store.tag('tiny', manifest, 'v2')).rejects.toMatchObject({ code: 'STORE_INVALID' });
      expect(await readFile(join(store.storage, file), 'utf8')).toBe('{"schemaVersion":2,"manif');
    },
  );
});

suite('repositories', () => {
  test('localhost/x and x are one, localhost:5000/x is a registry', async () => {
    const { manifest } = await pushSample(store.repository('localhost/x'), 'a');
    await store.tag('localhost/x', manifest, 'v1');
    expect(await store.repository('x').resolve('v1')).toMatchObject(manifest);
    await expect(store.repository('localhost:5000/x').resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await store.tag('localhost:5000/x', manifest, 'v1');
    expect(await names()).toEqual(['x:v1', 'localhost:5000/x:v1']);
    expect((await entries()).map(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'])).toEqual([
      'x:v1',
      'localhost:5000/x:v1',
    ]);
  });

  test('an error lists the tags that there are', async () => {
    const { manifest } = await pushSample(store.repository('x'), 'a');
    await store.tag('x', manifest, 'v1');
    await expect(store.repository('x').resolve('v2')).rejects.toMatchObject({ hint: 'tags of x: v1' });
  });

  test('a digest is looked for in its repository; without one, everywhere', async () => {
    const { manifest } = await pushSample(store.repository('x'), 'a');
    await expect(store.repository('y').resolve(manifest.digest)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    expect(await store.repository('').resolve(manifest.digest)).toMatchObject(manifest);
    expect(await store.repository('y').has(manifest)).toBe(false);
  });

  test('what is pushed without a name belongs to _', async () => {
    const { manifest } = await pushSample(store.repository('_'), 'a');
    expect(await names()).toEqual([`_@${manifest.digest.slice(7, 11)}`]);
    expect(await entries()).toEqual([{ ...manifest, annotations: { 'dev.ocikit.repository': '_' } }]);
  });

  test('the manifests of an index are found below it and not listed beside it', async () => {
    const repository = store.repository('multi');
    const [a, b] = [await pushSample(repository, 'a'), await pushSample(repository, 'b')];
    await repository.tag(b.manifest, 'kept');
    const index = await pushIndex(repository, [a.manifest, b.manifest]);
    await repository.tag(index, 'all');
    expect(await names()).toEqual(['multi:kept', 'multi:all']);
    expect((await repository.resolve(a.manifest.digest)).digest).toBe(a.manifest.digest);
    expect((await store.repository('').resolve(a.manifest.digest)).digest).toBe(a.manifest.digest);
    await store.collectGarbage();
    expect(await store.blobs.has(a.layers[0] ?? a.config)).toBe(true);
  });

  test('a tag needs a manifest that is there', async () => {
    const missing = describe('application/vnd.oci.image.manifest.v1+json', Buffer.from('{}'));
    await expect(store.tag('x', missing, 'v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    expect(await names()).toEqual([]);
  });
});

suite('removing', () => {
  test('a manifest stays while another repository lists it', async () => {
    const { manifest } = await pushSample(store.repository('a'), 'one');
    await store.tag('b', manifest, 'v1');
    await store.remove('a', manifest.digest);
    expect(await names()).toEqual(['b:v1']);
    expect((await store.collectGarbage()).blobs).toHaveLength(0);
    await store.remove('b', manifest.digest);
    expect((await store.collectGarbage()).blobs).toHaveLength(3);
    expect(await count()).toBe(0);
    expect((await readdir(store.storage)).toSorted()).toEqual([
      'blobs',
      'index.json',
      'index.json.bak',
      'ingest',
      'leases',
      'oci-layout',
      'reserve',
      'verified-blobs',
    ]);
  });

  test('blobs that another manifest shares stay', async () => {
    const repository = store.repository('a');
    const one = await pushSample(repository, 'one', { layers: ['shared', 'one'] });
    const two = await pushSample(repository, 'two', { layers: ['shared', 'two'] });
    await store.remove('a', one.manifest.digest);
    const collected = await store.collectGarbage();
    expect(collected.blobs).toHaveLength(3);
    expect(collected.bytes).toBe(one.bytes.length + one.config.size + 3);
    for (const blob of [two.manifest, two.config, ...two.layers]) expect(await repository.has(blob)).toBe(true);
  });

  test('an unknown digest or tag is an error', async () => {
    const { manifest } = await pushSample(store.repository('a'), 'one');
    await expect(store.remove('b', manifest.digest)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(store.untag('a', 'v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test('signatures go with what they sign, and stay while it stays', async () => {
    const repository = store.repository('a');
    const { manifest } = await pushSample(repository, 'one');
    const signature = await pushSample(repository, 'signature', {
      subject: manifest,
      configMediaType: 'application/vnd.oci.empty.v1+json',
    });
    const countersignature = await pushSample(repository, 'counter', { subject: signature.manifest });
    const tagged = await pushSample(repository, 'tagged', { subject: manifest });
    await repository.tag(tagged.manifest, 'sbom');
    const other = await pushSample(repository, 'other', { subject: countersignature.config });
    await store.tag('b', manifest, 'v1');
    await store.remove('a', manifest.digest);
    expect(await store.list()).toHaveLength(5);
    await store.remove('b', manifest.digest);
    expect((await store.list()).map(({ descriptor }) => descriptor.digest)).toEqual([tagged.manifest.digest, other.manifest.digest]);
    await store.collectGarbage();
    expect(await store.blobs.has(signature.config)).toBe(false);
    expect(await store.blobs.has(tagged.config)).toBe(true);
  });

  test('nothing is collected while blobs of an unfinished artifact are there', async () => {
    const repository = store.repository('a');
    const lease = await repository.can.lease();
    const blob = describe('application/octet-stream', Buffer.from('early'));
    await repository.push(blob, bytesSource(Buffer.from('early')));
    expect((await store.collectGarbage()).heldBy).toHaveLength(1);
    await lease[Symbol.asyncDispose]();
    expect((await store.collectGarbage()).blobs).toHaveLength(1);
  });

  test('a push without a lease is safe until its manifest is listed', async () => {
    const repository = store.repository('a');
    const blob = describe('application/octet-stream', Buffer.from('early'));
    await repository.push(blob, bytesSource(Buffer.from('early')));
    expect((await store.collectGarbage()).heldBy).toHaveLength(1);
    await pushSample(repository, 'one');
    expect((await store.collectGarbage()).blobs).toHaveLength(1);
  });

  test('looking needs no lease', async () => {
    const { manifest, config } = await pushSample(store.repository('a'), 'one');
    expect(await store.repository('b').has(config)).toBe(true);
    await store.remove('a', manifest.digest);
    expect((await store.collectGarbage()).blobs).toHaveLength(3);
  });

  test('a manifest that cannot be read stops the collection: what it needs is unknown', async () => {
    const { manifest } = await pushSample(store.repository('a'), 'one');
    await writeFile(store.blobs.pathOf(manifest.digest), 'x'.repeat(manifest.size));
    await expect(store.collectGarbage()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await count()).toBe(3);
  });
});

suite('a home of KitOps', () => {
  const tinyIndex = 'bG9jYWxob3N0L3Rpbnk=-index.json';
  const tinyTags = 'bG9jYWxob3N0L3Rpbnk=-tags.json';

  test('is listed as KitOps lists it', async () => {
    await useGolden();
    const expected = JSON.parse(await readFile(join(fixtures, 'kit-output/kit-home-list.json'), 'utf8')) as Record<string, unknown>[];
    const listed = (await store.list()).map(({ repository, tags, descriptor }) => ({ repo: repository, digest: descriptor.digest, tags }));
    expect(listed).toEqual(expected.map(({ repo, digest, tags }) => ({ repo, digest, tags })));
  });

  test('keeps its files byte for byte when something else changes, and gets index.json for skopeo', async () => {
    await useGolden();
    const before = await Promise.all([tinyIndex, tinyTags].map(async (file) => await readFile(join(store.storage, file), 'utf8')));
    const manifest = await store.repository('tiny').resolve('v1');
    await store.tag('new', manifest, 'x');
    expect(await Promise.all([tinyIndex, tinyTags].map(async (file) => await readFile(join(store.storage, file), 'utf8')))).toEqual(before);
    const tags = (await entries()).map(({ annotations }) => annotations?.['org.opencontainers.image.ref.name']);
    expect(tags).toEqual(['new:x', 'tiny:v1', 'tiny:stable', 'tiny:v2', 'localhost:5680/golden/other:v1']);
  });

  test('gets its files in its own form', async () => {
    const { manifest } = await pushSample(store.repository('tiny'), 'a');
    await store.tag('tiny', manifest, 'v1');
    expect(await readFile(join(store.storage, tinyIndex), 'utf8')).toBe(JSON.stringify({ schemaVersion: 2, manifests: [plain(manifest)] }));
    expect(await readFile(join(store.storage, tinyTags), 'utf8')).toBe(JSON.stringify({ v1: plain(manifest) }));
    await store.untag('tiny', 'v1');
    await expect(access(join(store.storage, tinyTags))).rejects.toThrow('ENOENT');
    await store.remove('tiny', manifest.digest);
    await expect(access(join(store.storage, tinyIndex))).rejects.toThrow('ENOENT');
  });

  test('gets only ModelKits in them: KitOps crashes on others', async () => {
    const repository = store.repository('tiny');
    const kit = await pushSample(repository, 'a');
    const other = await pushSample(repository, 'b', { configMediaType: 'application/vnd.oci.image.config.v1+json' });
    const index = await pushIndex(repository, [other.manifest]);
    for (const [manifest, tag] of [
      [kit.manifest, 'kit'],
      [other.manifest, 'other'],
      [index, 'index'],
    ] as const)
      await repository.tag(manifest, tag);
    expect(await readJson(tinyTags)).toEqual({ kit: plain(kit.manifest) });
    expect(await readJson(tinyIndex)).toEqual({ schemaVersion: 2, manifests: [plain(kit.manifest)] });
    store = await openStore(home);
    expect(await names()).toEqual(['tiny:kit', 'tiny:index', 'tiny:other']);
    await store.untag('tiny', 'other');
    await store.remove('tiny', index.digest);
    expect(await names()).toEqual(['tiny:kit', `tiny@${other.manifest.digest.slice(7, 11)}`]);
  });

  test('what KitOps tags, moves and removes is seen, although index.json still says otherwise', async () => {
    const repository = store.repository('tiny');
    const [a, b] = [await pushSample(repository, 'a'), await pushSample(repository, 'b')];
    await repository.tag(a.manifest, 'v1');
    await repository.tag(a.manifest, 'gone');
    await writeFile(join(store.storage, tinyTags), JSON.stringify({ v1: plain(b.manifest), v2: plain(a.manifest) }));
    // KitOps rewrote index.json after that, for another repository
    await utimes(join(store.storage, 'index.json'), new Date(), new Date(Date.now() + 5000));
    expect(await names()).toEqual(['tiny:v2', 'tiny:v1']);
    expect((await repository.resolve('v1')).digest).toBe(b.manifest.digest);
    await store.tag('tiny', b.manifest, 'v3');
    expect((await entries()).map(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'])).toEqual([
      'tiny:v2',
      'tiny:v1',
      'tiny:v3',
    ]);
  });

  test('a tag that KitOps takes over from another artifact is its own', async () => {
    const repository = store.repository('tiny');
    const kit = await pushSample(repository, 'a');
    const other = await pushSample(repository, 'b', { configMediaType: 'application/vnd.oci.image.config.v1+json' });
    await repository.tag(other.manifest, 'v1');
    await writeFile(join(store.storage, tinyTags), JSON.stringify({ v1: plain(kit.manifest) }));
    expect((await repository.resolve('v1')).digest).toBe(kit.manifest.digest);
    expect((await repository.resolve(other.manifest.digest)).digest).toBe(other.manifest.digest);
  });

  test('what skopeo or oras wrote to index.json is taken over with the next change', async () => {
    const repository = store.repository('tiny');
    const { manifest } = await pushSample(repository, 'a');
    const next = await pushSample(repository, 'b');
    await repository.tag(manifest, 'v1');
    const foreign = [
      { ...plain(manifest), ...refName('tiny:v9') },
      { ...plain(next.manifest), ...refName('tiny:v1') },
      { ...plain(manifest), ...refName('no reference at all') },
    ];
    await writeFile(
      join(store.storage, 'index.json'),
      JSON.stringify({ schemaVersion: 2, manifests: [...(await entries()), ...foreign], annotations: { my: 'own' } }),
    );
    expect(await names()).toEqual(['tiny:v9', 'tiny:v1']);
    expect((await repository.resolve('v1')).digest).toBe(next.manifest.digest);
    await store.tag('x', manifest, 'y');
    expect(await readJson(tinyTags)).toEqual({ v1: plain(next.manifest), v9: plain(manifest) });
    expect(await readJson('index.json')).toMatchObject({ annotations: { my: 'own' } });
    await store.untag('tiny', 'v9');
    expect(await names()).toEqual(['tiny@' + manifest.digest.slice(7, 11), 'tiny:v1', 'x:y']);
  });

  test('an entry of no repository stays, and so do its blobs', async () => {
    const { manifest, config } = await pushSample(store.repository('tiny'), 'a');
    await store.remove('tiny', manifest.digest);
    await writeFile(join(store.storage, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, extra: 1 }] }));
    await pushSample(store.repository('x'), 'b');
    await store.collectGarbage();
    expect(await store.blobs.has(config)).toBe(true);
    expect(await entries()).toContainEqual({ ...manifest, extra: 1 });
    expect(await store.repository('').resolve(manifest.digest)).toMatchObject(manifest);
  });

  test('a repository whose name fits in no file name is kept in index.json', async () => {
    const name = `ghcr.io/${'long/'.repeat(45)}x`;
    const { manifest } = await pushSample(store.repository(name), 'a');
    await store.tag(name, manifest, 'v1');
    store = await openStore(home);
    expect(await names()).toEqual([`${name}:v1`]);
  });

  test('files with names that only look like its own are left alone', async () => {
    await pushSample(store.repository('tiny'), 'a');
    for (const file of ['x-index.json', '%%%-tags.json', '=-index.json']) await writeFile(join(store.storage, file), 'not ours');
    expect(await store.list()).toHaveLength(1);
  });

  test('a tag whose manifest the index of KitOps lacks is still there', async () => {
    const repository = store.repository('tiny');
    const { manifest } = await pushSample(repository, 'a');
    await writeFile(join(store.storage, tinyTags), JSON.stringify({ v1: plain(manifest) }));
    await rm(join(store.storage, tinyIndex));
    expect(await names()).toEqual(['tiny:v1']);
  });

  test.each([
    ['a digest that is none', { v1: { mediaType: 'x', digest: '../../etc/passwd', size: 1 } }],
    ['a list', []],
    ['a size that is none', { v1: { mediaType: 'x', digest: `sha256:${'0'.repeat(64)}` satisfies Digest, size: -1 } }],
  ])('hostile tags are refused: %s', async (_, tags) => {
    await pushSample(store.repository('tiny'), 'a');
    await writeFile(join(store.storage, tinyTags), JSON.stringify(tags));
    await expect(store.list()).rejects.toMatchObject({ code: 'STORE_INVALID', message: expect.stringContaining(tinyTags) as string });
  });
});
