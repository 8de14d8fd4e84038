import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import type { KitEvent } from '../../../src/events.ts';
import { describe as descriptorOf, type Descriptor } from '../../../src/oci/descriptor.ts';
import { digestHex } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { copy, type CopyArguments } from '../../../src/operations/transfer/copy.ts';
import { createKit, type Kit } from '../../../src/operations/kit.ts';
import { type RegistryOptions, startRegistry, type TestRegistry } from '../../support/registry.ts';
import { pushIndex, pushSample, type Sample } from '../targets/sample.ts';
import { workspace } from './sandbox.ts';

const LAYER = randomBytes(2_500_000);
const layer = descriptorOf('application/vnd.kitops.modelkit.model.v1.tar', LAYER);

interface Setting {
  readonly a: TestRegistry;
  readonly b: TestRegistry;
  readonly kit: Kit;
  readonly home: string;
  readonly warnings: string[];
  /** From `a/team/model:v1` to `b/mirror/model` unless told. */
  readonly run: (source?: string, destination?: string, options?: Partial<CopyArguments>) => ReturnType<typeof copy>;
}

/** Two registries, and an artifact in the first. */
async function setting(first: RegistryOptions = {}, second: RegistryOptions = {}): Promise<Setting & { readonly sample: Sample }> {
  const space = workspace();
  const { home } = space;
  const [a, b] = [await startRegistry(first), await startRegistry(second)];
  const credentials = {
    [b.host]: { type: 'basic', username: 'user', password: 'secret' },
    [a.host]: { type: 'basic', username: 'user', password: 'secret' },
  } as const;
  const kit = createKit({
    home,
    env: { HOME: space.path('nobody') },
    network: { plainHttp: true, sleep: () => Promise.resolve(), credentials },
  });
  onTestFinished(async () => {
    await kit.close();
    await Promise.all([a.close(), b.close()]);
  });
  const warnings: string[] = [];
  const onEvent = (event: KitEvent): void => void (event.type === 'warning' && warnings.push(event.message));
  const run: Setting['run'] = async (source = `${a.host}/team/model:v1`, destination = `${b.host}/mirror/model`, options = {}) =>
    await copy(kit, { source: parseLocation(source), destination: parseLocation(destination), ...options }, { onEvent });
  return { a, b, kit, home, warnings, run, sample: await addSample(a) };
}

/** Puts an artifact with the large layer into `team/model`, without a request. */
async function addSample(registry: TestRegistry, name = 'model', subject?: Descriptor, tag = 'v1'): Promise<Sample> {
  const config = descriptorOf(MEDIA_TYPE.emptyJson, Buffer.from(JSON.stringify({ name })));
  await registry.addBlob('team/model', Buffer.from(JSON.stringify({ name })));
  await registry.addBlob('team/model', LAYER);
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config, layers: [layer], subject }));
  return { manifest: registry.addManifest('team/model', bytes, subject === undefined ? tag : undefined), bytes, config, layers: [layer] };
}

const tagsOf = (registry: TestRegistry, repository: string): Record<string, string> =>
  Object.fromEntries(registry.storage.find(repository)?.tags ?? []);

describe('from registry to registry', () => {
  test('an artifact arrives, and nothing is stored on the way', async () => {
    const { b, home, run, sample } = await setting();
    expect(await run()).toEqual([
      {
        source: expect.stringMatching(/team\/model:v1$/) as string,
        reference: `${b.host}/mirror/model:v1`,
        digest: sample.manifest.digest,
        moved: { count: 3, bytes: layer.size + sample.config.size + sample.manifest.size },
        mounted: { count: 0, bytes: 0 },
        skipped: { count: 0, bytes: 0 },
      },
    ]);
    expect(tagsOf(b, 'mirror/model')).toEqual({ v1: sample.manifest.digest });
    for (const blob of [sample.config, layer]) expect(b.storage.has('mirror/model', blob.digest)).toBe(true);
    expect(existsSync(home)).toBe(false);
  });

  test('what is there is not sent again, not even read', async () => {
    const { a, run } = await setting();
    await run();
    a.clear();
    const [again] = await run();
    expect(again).toMatchObject({ moved: { count: 0 }, skipped: { count: 3 } });
    expect(a.requests.filter(({ path }) => path.includes(layer.digest))).toEqual([]);
  });

  test('an index with all its children', async () => {
    const { a, b, kit, run } = await setting();
    const { remoteRepository } = await import('../../../src/targets/remote.ts');
    const target = remoteRepository(await kit.registry(), a.host, 'team/model');
    const parts = [await pushSample(target, 'x'), await pushSample(target, 'y')];
    const index = await pushIndex(
      target,
      parts.map(({ manifest }) => manifest),
    );
    await target.tag(index, 'all');
    await run(`${a.host}/team/model:all`);
    expect(tagsOf(b, 'mirror/model')).toEqual({ all: index.digest });
    for (const { manifest } of parts) expect(b.storage.find('mirror/model')?.manifests.has(manifest.digest)).toBe(true);
  });

  test('several tags, other tags, a digest', async () => {
    const { a, b, run, sample } = await setting();
    const { digest } = sample.manifest;
    a.storage.repository('team/model').tags.set('v2', digest);
    expect((await run(`${a.host}/team/model:v1,v2`)).map(({ reference }) => reference)).toEqual([
      `${b.host}/mirror/model:v1`,
      `${b.host}/mirror/model:v2`,
    ]);
    await run(undefined, `${b.host}/other:x,y`);
    expect(tagsOf(b, 'other')).toEqual({ x: digest, y: digest });
    expect(await run(`${a.host}/team/model@${digest}`, `${b.host}/third`)).toMatchObject([{ reference: `${b.host}/third@${digest}` }]);
    expect(tagsOf(b, 'third')).toEqual({});
    await run(`${a.host}/team/model@${digest}`, `${b.host}/third:pinned`);
    expect(tagsOf(b, 'third')).toEqual({ pinned: digest });
    await expect(run(`${a.host}/team/model:v1,v2`, `${b.host}/other:z`)).rejects.toMatchObject({ code: 'USAGE' });
  });

  test('every tag, those of signatures only with what they belong to', async () => {
    const { a, b, run, sample, warnings } = await setting();
    const signature = await addSample(a, 'signature', undefined, `sha256-${digestHex(sample.manifest.digest)}.sig`);
    a.storage.repository('team/model').tags.set('v2', sample.manifest.digest);
    await run(`${a.host}/team/model`, undefined, { allTags: true });
    expect(tagsOf(b, 'mirror/model')).toEqual({ v1: sample.manifest.digest, v2: sample.manifest.digest });
    expect(warnings).toEqual([expect.stringContaining('1 tags of signatures')]);
    await run(`${a.host}/team/model`, undefined, { allTags: true, referrers: true });
    expect(tagsOf(b, 'mirror/model')).toHaveProperty([`sha256-${digestHex(sample.manifest.digest)}.sig`], signature.manifest.digest);
    expect(warnings).toHaveLength(1);
    await expect(run(undefined, undefined, { allTags: true })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(run(`${a.host}/team/none`, undefined, { allTags: true })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test.each([true, false])('referrers of referrers; the source has the API: %s', async (referrers) => {
    const { a, b, run, sample } = await setting({ behaviour: { referrers } });
    const sbom = await addSample(a, 'sbom', sample.manifest);
    const signature = await addSample(a, 'signature', sbom.manifest);
    if (!referrers)
      for (const { subject, referrer } of [
        { subject: sample, referrer: sbom },
        { subject: sbom, referrer: signature },
      ])
        addFallback(a, subject, referrer);
    await run(undefined, undefined, { referrers: true });
    const there = b.storage.find('mirror/model')?.manifests;
    for (const { manifest } of [sample, sbom, signature]) expect(there?.has(manifest.digest)).toBe(true);
    expect(Object.keys(tagsOf(b, 'mirror/model'))).toEqual(['v1']);
  });
});

test('a referrer that is there but not listed is listed', async () => {
  const { a, b, run, sample } = await setting({}, { behaviour: { referrers: false } });
  const sbom = await addSample(a, 'sbom', sample.manifest);
  await run(undefined, undefined, { referrers: true });
  const tag = `sha256-${digestHex(sample.manifest.digest)}`;
  expect(Object.keys(tagsOf(b, 'mirror/model'))).toContain(tag);
  b.storage.repository('mirror/model').tags.delete(tag);
  expect(await run(undefined, undefined, { referrers: true })).toMatchObject([{ moved: { count: 1, bytes: sbom.manifest.size } }]);
  expect(Object.keys(tagsOf(b, 'mirror/model'))).toContain(tag);
  expect(await run(undefined, undefined, { referrers: true })).toMatchObject([{ moved: { count: 0 } }]);
});

function addFallback(registry: TestRegistry, { manifest: { digest } }: Sample, { manifest }: Sample): void {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [manifest] }));
  registry.addManifest('team/model', bytes, `sha256-${digestHex(digest)}`, MEDIA_TYPE.imageIndex);
}

describe('within one registry', () => {
  test('blobs are mounted from where they are: no byte of theirs moves', async () => {
    const { a, run, sample } = await setting();
    const [result] = await run(undefined, `${a.host}/other/model`);
    expect(result).toMatchObject({ moved: { count: 1, bytes: sample.manifest.size }, mounted: { count: 2 } });
    const mounts = a.requests.filter(({ path }) => path.includes('mount='));
    expect(mounts.map(({ path }) => new URL(path, a.url).searchParams.get('from'))).toEqual(['team/model', 'team/model']);
    expect(a.requests.filter(({ method, path }) => method === 'GET' && path.includes(layer.digest))).toEqual([]);
  });

  test('the token for a mount covers both repositories', async () => {
    const { a, run } = await setting({ auth: { type: 'bearer', username: 'user', password: 'secret' } });
    await run(undefined, `${a.host}/other/model`);
    const scopes = a.requests
      .filter(({ path }) => path.startsWith('/token'))
      .flatMap(({ path }) => [new URL(path, a.url).searchParams.getAll('scope').toSorted()]);
    expect(scopes).toContainEqual(['repository:other/model:pull,push', 'repository:team/model:pull']);
  });

  test('what cannot be mounted is sent', async () => {
    const { a, run } = await setting({ behaviour: { mounts: false } });
    expect(await run(undefined, `${a.host}/other/model`)).toMatchObject([{ moved: { count: 3 }, mounted: { count: 0 } }]);
    expect(a.storage.has('other/model', layer.digest)).toBe(true);
    expect(a.storage.uploads.size).toBe(0);
  });

  test('another tag in the same repository is one request', async () => {
    const { a, run } = await setting();
    await run(undefined, `${a.host}/team/model:v2`);
    expect(a.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD').map(({ method, path }) => `${method} ${path}`)).toEqual(
      ['PUT /v2/team/model/manifests/v2'],
    );
  });
});

describe('what is wrong is not passed on', () => {
  test.each([
    ['a changed byte', 0],
    ['a changed last byte', LAYER.byteLength - 1],
  ])('%s stops the upload before its last bytes', async (_, at) => {
    const { a, b, run, sample } = await setting();
    const changed = Buffer.from(LAYER);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await a.storage.replaceBlob(layer.digest, changed);
    const copied = run();
    await expect(copied).rejects.toMatchObject({ code: 'DIGEST_MISMATCH', exitCode: 6, origin: 'source' });
    const uploads = b.requests.filter(({ method, path }) => (method === 'PUT' || method === 'PATCH') && path.includes('/uploads/'));
    // the config is small and right
    const received = uploads.reduce((sum, upload) => sum + upload.received, 0);
    expect(received).toBeLessThan(layer.size + sample.config.size);
    expect(b.storage.has('mirror/model', layer.digest)).toBe(false);
    expect(tagsOf(b, 'mirror/model')).toEqual({});
  });

  test('a manifest that was changed', async () => {
    const { a, b, run, sample } = await setting();
    const stored = a.storage.repository('team/model').manifests;
    stored.set(sample.manifest.digest, { mediaType: MEDIA_TYPE.imageManifest, bytes: Buffer.concat([sample.bytes, Buffer.from(' ')]) });
    await expect(run()).rejects.toMatchObject({ exitCode: 6 });
    expect(b.requests.filter(({ method }) => method !== 'HEAD' && method !== 'GET')).toEqual([]);
  });

  test('a blob that the source lost', async () => {
    const { a, b, run } = await setting();
    a.storage.repository('team/model').blobs.delete(layer.digest);
    await expect(run()).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND', origin: 'source' });
    expect(tagsOf(b, 'mirror/model')).toEqual({});
  });
});

describe('what breaks goes on', () => {
  test('a source that breaks off is asked for the rest', async () => {
    const { a, b, run } = await setting({ behaviour: { cutDownloads: [1_000_000, 700_000] } });
    await run();
    const gets = a.requests.filter(({ method, path }) => method === 'GET' && path.includes(layer.digest));
    const [first, ...rest] = gets.map(({ headers }) => headers.range);
    expect(first).toBeUndefined();
    // the config may have used up one of the cuts
    expect(rest.length).toBeGreaterThan(0);
    for (const range of rest) expect(range).toMatch(/^bytes=[1-9]/);
    expect(b.storage.has('mirror/model', layer.digest)).toBe(true);
  });

  test('a destination that breaks off gets the blob all the same', async () => {
    const { b, run, sample } = await setting({}, { behaviour: { cutUploads: [1_500_000, 900_000] } });
    await run();
    expect(tagsOf(b, 'mirror/model')).toEqual({ v1: sample.manifest.digest });
    expect(b.storage.has('mirror/model', layer.digest)).toBe(true);
  });

  test('both at once, with a source without ranges', async () => {
    const { b, run, sample } = await setting(
      { behaviour: { ranges: false, cutDownloads: [2_000_000] } },
      { behaviour: { cutUploads: [1_200_000] } },
    );
    await run();
    expect(tagsOf(b, 'mirror/model')).toEqual({ v1: sample.manifest.digest });
  });

  test('a destination that wants small bodies gets chunks', async () => {
    const { b, run } = await setting({}, { behaviour: { maxPut: 600_000 } });
    await run();
    expect(b.storage.has('mirror/model', layer.digest)).toBe(true);
  });
});

describe('names', () => {
  test('without a registry are local, on either side', async () => {
    const { b, kit, run, sample } = await setting();
    await run(undefined, 'here:v3');
    expect((await (await kit.store()).repository('here').resolve('v3')).digest).toBe(sample.manifest.digest);
    await run('here:v3', `${b.host}/from/here`);
    expect(tagsOf(b, 'from/here')).toEqual({ v3: sample.manifest.digest });
    await run('here:v3', 'there:v4');
    expect((await (await kit.store()).repository('there').resolve('v4')).digest).toBe(sample.manifest.digest);
  });

  test('with a registry are local where that is asked for', async () => {
    const { a, b, kit, run, sample } = await setting();
    const name = `${a.host}/team/model`;
    await run(`${name}:v1`, name, { toLocal: true });
    expect((await (await kit.store()).repository(name).resolve('v1')).digest).toBe(sample.manifest.digest);
    a.clear();
    await run(`${name}:v1`, `${b.host}/x`, { fromLocal: true });
    expect(a.requests).toEqual([]);
    expect(tagsOf(b, 'x')).toEqual({ v1: sample.manifest.digest });
  });

  test('that are on the other side of the rule are answered with a hint', async () => {
    const { a, b, run } = await setting();
    const name = `${a.host}/team/model`;
    await run(`${name}:v1`, `${name}:v9`, { toLocal: true });
    await expect(run(`${name}:v9`)).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      hint: expect.stringContaining('--from-local') as string,
    });
    await expect(run(`${name}:v8`)).rejects.toMatchObject({ hint: expect.not.stringContaining('--from-local') as string });
    await expect(run('model:v1')).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      hint: expect.stringContaining('REGISTRY/model:v1') as string,
    });
    await expect(run(`${b.host}/x:v1`, undefined, { fromLocal: true })).rejects.toMatchObject({
      hint: expect.stringContaining('without --from-local') as string,
    });
  });

  test('a layout and an archive, there and back', async () => {
    const { b, run, sample, kit } = await setting();
    const space = workspace();
    const { digest } = sample.manifest;
    await run(undefined, `oci:${space.path('layout')}`);
    await run(`oci:${space.path('layout')}:v1`, `oci-archive:${space.path('a.tar')}:v2`);
    await run(`oci-archive:${space.path('a.tar')}`, `${b.host}/only`);
    await run(`oci:${space.path('layout')}`, `oci-archive:${space.path('all.tar')}`, { allTags: true });
    await run(`oci-archive:${space.path('all.tar')}`, 'back', { allTags: true });
    // what stands alone in an archive need not be named, and is the latest then
    expect(tagsOf(b, 'only')).toEqual({ latest: digest });
    expect((await (await kit.store()).repository('back').resolve('v1')).digest).toBe(digest);
    await expect(run(undefined, `oci:${space.path('layout')}@${digest}`)).rejects.toMatchObject({ code: 'REFERENCE_INVALID' });
  });
});

test('a ModelKit whose model is another one is copied with a warning that names it', async () => {
  const { a, kit, run, warnings } = await setting();
  const target = (await kit.store()).repository('tuned');
  const config = Buffer.from(
    JSON.stringify({ manifestVersion: '1.0.0', package: { name: 'tuned' }, model: { path: 'ghcr.io/team/base:v1' } }),
  );
  const blob = descriptorOf('application/vnd.kitops.modelkit.config.v1+json', config);
  await target.push(blob, bytesSource(config));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config: blob, layers: [] }));
  const manifest = descriptorOf(MEDIA_TYPE.imageManifest, bytes);
  await target.push(manifest, bytesSource(bytes));
  await target.tag(manifest, 'v1');
  await run('tuned:v1', `${a.host}/tuned`);
  expect(warnings).toEqual([expect.stringContaining('the model of tuned:v1 is the ModelKit ghcr.io/team/base:v1, which is not copied')]);
});
