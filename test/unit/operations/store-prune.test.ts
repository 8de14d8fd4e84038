import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe as suite, expect, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { checkStore } from '../../../src/operations/store/check.ts';
import { storeInfo } from '../../../src/operations/store/info.ts';
import { pruneStore } from '../../../src/operations/store/prune.ts';
import { pushIndex } from '../targets/sample.ts';
import { type StoreHome, storeHome } from './store-home.ts';

const DAY = 86_400_000;

async function names({ store }: StoreHome): Promise<string[]> {
  return (await store.list()).map(({ repository, tags }) => `${repository}:${tags.join(',')}`);
}

async function age(box: StoreHome, ...blobs: readonly Descriptor[]): Promise<void> {
  const then = new Date(Date.now() - 2 * DAY);
  for (const { digest } of blobs) await utimes(box.blobPath(digest), then, then);
}

suite('what no tag reaches', () => {
  test('goes: a ModelKit whose tag was moved, and blobs that nothing lists; what others share stays', async () => {
    const box = await storeHome();
    const old = await box.add('tiny:v1', { layers: ['shared', 'old'] });
    await box.add('tiny:v1', { layers: ['shared', 'new'] });
    await box.store.blobs.push(describe('application/octet-stream', Buffer.from('stray')), bytesSource(Buffer.from('stray')));
    // both have the same name, and so the same config
    const wanted = { untagged: [`tiny@${old.manifest.digest}`], bytes: old.manifest.size + 'old'.length + 'stray'.length };

    const planned = await pruneStore(box.kit, { dryRun: true });
    expect(planned).toMatchObject({ ...wanted, dryRun: true });
    expect(planned.blobs).toHaveLength(3);
    expect((await storeInfo(box.kit)).reclaimable).toEqual({ untagged: 1, blobs: 3, bytes: wanted.bytes });
    expect(await names(box)).toHaveLength(2);

    expect(await pruneStore(box.kit)).toEqual({ ...planned, dryRun: false });
    expect(await names(box)).toEqual(['tiny:v1']);
    expect(await readdir(box.path('ingest'))).toEqual([]);
    expect(await checkStore(box.kit)).toMatchObject({ ok: true, findings: [] });
    expect(await pruneStore(box.kit)).toMatchObject({ untagged: [], blobs: [], bytes: 0 });
  });

  test('stays with --keep-untagged', async () => {
    const box = await storeHome();
    await box.add('tiny:v1', { tag: false });
    await box.add('_:x', { tag: false });
    expect(await pruneStore(box.kit, { keepUntagged: true })).toMatchObject({ untagged: [], blobs: [] });
    expect((await pruneStore(box.kit)).untagged).toHaveLength(2);
    expect(await names(box)).toEqual([]);
  });

  test('signatures of what stays stay, and signatures of those; those of what goes go', async () => {
    const box = await storeHome();
    const model = await box.add('tiny:v1');
    const sbom = await box.add('tiny:sbom', { tag: false, subject: model.manifest });
    await box.add('tiny:sbom-signature', { tag: false, subject: sbom.manifest });
    const old = await box.add('tiny:old', { tag: false });
    await box.add('tiny:old-signature', { tag: false, subject: old.manifest });
    expect((await pruneStore(box.kit)).untagged).toHaveLength(2);
    expect(await names(box)).toHaveLength(3);
  });

  test('an index with a tag keeps its members, in its repository alone', async () => {
    const box = await storeHome();
    const member = await box.add('many:a', { tag: false });
    const index = await pushIndex(box.store.repository('many'), [member.manifest]);
    await box.store.tag('many', index, 'all');
    await box.add('other:a', { tag: false, layers: ['layer of many:a'] });
    const elsewhere = box.store.repository('copy');
    await elsewhere.push(member.manifest, bytesSource(member.bytes));
    expect((await pruneStore(box.kit)).untagged).toHaveLength(2);
    expect(await names(box)).toEqual(['many:all']);
    expect(await box.store.blobs.has(member.manifest)).toBe(true);
  });

  test('goes from its repository though another has a tag on it', async () => {
    const box = await storeHome();
    const { manifest } = await box.add('tiny:v1');
    await box.store.tag('copy', manifest, 'v1');
    await box.store.untag('tiny', 'v1');
    expect((await pruneStore(box.kit)).untagged).toEqual([`tiny@${manifest.digest}`]);
    expect(await names(box)).toEqual(['copy:v1']);
    expect(await checkStore(box.kit)).toMatchObject({ ok: true, findings: [] });
  });

  test('entries of another tool stay', async () => {
    const box = await storeHome();
    const { manifest } = await box.add('tiny:v1');
    await box.store.untag('tiny', 'v1');
    const index = JSON.parse(await readFile(box.path('index.json'), 'utf8')) as { manifests: Descriptor[] };
    const foreign = await box.add('tiny:v2');
    index.manifests.push({ ...foreign.manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } });
    await box.store.remove('tiny', foreign.manifest.digest);
    await writeFile(box.path('index.json'), JSON.stringify(index));
    expect((await pruneStore(box.kit)).untagged).toEqual([`tiny@${manifest.digest}`]);
    expect(await box.store.blobs.has(foreign.manifest)).toBe(true);
  });

  test('with --older-than only what is older', async () => {
    const box = await storeHome();
    const young = await box.add('young:v1', { tag: false });
    const old = await box.add('old:v1', { tag: false });
    await age(box, old.manifest, old.config, ...old.layers);
    const pruned = await pruneStore(box.kit, { olderThanMs: DAY });
    expect(pruned.untagged).toEqual([`old@${old.manifest.digest}`]);
    expect(pruned.blobs).toHaveLength(3);
    expect(await box.store.blobs.has(young.manifest)).toBe(true);
  });
});

suite('leftovers and caches', () => {
  test('partial downloads only when asked, and by age', async () => {
    const box = await storeHome();
    await box.add('tiny:v1');
    const partial = box.path('ingest', `sha256-${'a'.repeat(64)}.partial`);
    await writeFile(partial, 'part');
    await writeFile(box.path('ingest', 'sha256-x.garbage'), 'x');
    expect(await pruneStore(box.kit)).toMatchObject({ leftovers: [] });
    expect(await readdir(box.path('ingest'))).toHaveLength(1);
    expect(await pruneStore(box.kit, { partials: true, olderThanMs: DAY })).toMatchObject({ leftovers: [] });
    expect(await pruneStore(box.kit, { partials: true, dryRun: true })).toMatchObject({ leftovers: [{ path: partial }], bytes: 4 });
    expect(await pruneStore(box.kit, { partials: true })).toMatchObject({
      leftovers: [{ path: partial, kind: 'partial', bytes: 4 }],
      bytes: 4,
    });
    expect(await readdir(box.path('ingest'))).toEqual([]);
  });

  test('texts of Kitfiles whose ModelKit is gone', async () => {
    const box = await storeHome();
    const { config } = await box.add('tiny:v1');
    const folder = join(box.home, 'kitfiles');
    await mkdir(folder);
    await writeFile(join(folder, config.digest.slice(7)), 'kept');
    for (const name of ['b'.repeat(64), `${'c'.repeat(64)}.123`, 'mine.txt']) await writeFile(join(folder, name), 'x');
    expect((await storeInfo(box.kit)).caches.kitfiles).toMatchObject({ entries: 3, stale: 2 });
    expect((await pruneStore(box.kit, { dryRun: true })).cacheEntries).toBe(2);
    expect((await pruneStore(box.kit)).cacheEntries).toBe(2);
    expect((await readdir(folder)).toSorted()).toEqual([config.digest.slice(7), 'mine.txt'].toSorted());
  });

  test('records of imports whose layer is gone, and folders of imports that were broken off', async () => {
    const box = await storeHome();
    const { config } = await box.add('tiny:v1');
    const cache = join(box.home, 'cache');
    await mkdir(join(cache, 'imports'), { recursive: true });
    await writeFile(join(cache, 'imports', 'a'.repeat(64)), record(config.digest));
    await writeFile(join(cache, 'imports', 'b'.repeat(64)), record(`sha256:${'0'.repeat(64)}`));
    await writeFile(join(cache, 'imports', 'c'.repeat(64)), 'cut of');
    for (const name of ['import-abc123', 'import-def456', 'important']) await mkdir(join(cache, name));
    const then = new Date(Date.now() - 2 * DAY);
    for (const name of ['import-abc123', 'important']) await utimes(join(cache, name), then, then);
    expect((await storeInfo(box.kit)).caches.imports).toMatchObject({ entries: 5, stale: 3 });
    expect((await pruneStore(box.kit)).cacheEntries).toBe(3);
    expect(await readdir(join(cache, 'imports'))).toEqual(['a'.repeat(64)]);
    // another process may be at work in the younger one
    expect((await readdir(cache)).toSorted()).toEqual(['import-def456', 'important', 'imports']);
  });
});

suite('while others are at work', () => {
  test('nothing is touched, and who it is is said', async () => {
    const box = await storeHome();
    await box.add('tiny:v1', { tag: false });
    const lease = await box.store.lease();
    await expect(pruneStore(box.kit)).rejects.toMatchObject({
      code: 'STORE_BUSY',
      message: expect.stringContaining(`process ${process.pid}`) as string,
    });
    await expect(pruneStore(box.kit, { dryRun: true })).rejects.toMatchObject({ code: 'STORE_BUSY' });
    expect((await storeInfo(box.kit)).holders).toMatchObject([
      { what: 'adding', pid: process.pid, since: expect.stringMatching(/^\d{4}-/) as string },
    ]);
    expect(await names(box)).toEqual(['tiny:']);
    await lease[Symbol.asyncDispose]();
    expect((await pruneStore(box.kit)).untagged).toHaveLength(1);
  });

  test('a lease of another container counts as long as it is fresh', async () => {
    const box = await storeHome();
    await box.add('tiny:v1', { tag: false });
    const lease = box.path('leases', '1-elsewhere');
    await writeFile(lease, JSON.stringify({ pid: 1, host: 'container', space: 'x', started: '', nonce: 'n' }));
    await expect(pruneStore(box.kit)).rejects.toMatchObject({ code: 'STORE_BUSY' });
    const then = new Date(Date.now() - 70_000);
    await utimes(lease, then, then);
    expect((await pruneStore(box.kit)).untagged).toHaveLength(1);
  });
});

const record = (digest: string): string => JSON.stringify({ digest, size: 1 });

test('info of a store that is not there makes none', async () => {
  const box = await storeHome();
  expect(await storeInfo(box.kit)).toMatchObject({ exists: false, manifests: 0, blobs: 0, holders: [], reclaimable: { bytes: 0 } });
  expect(await pruneStore(box.kit)).toMatchObject({ blobs: [], bytes: 0 });
  expect(await readdir(box.home)).toEqual([]);
});

test('info counts what is shared once', async () => {
  const box = await storeHome();
  const layer = 'x'.repeat(5000);
  await box.add('a:v1', { layers: [layer] });
  await box.add('b:v1', { layers: [layer] });
  const info = await storeInfo(box.kit);
  expect(info).toMatchObject({ exists: true, repositories: 2, manifests: 2, tags: 2, untagged: 0, blobs: 5 });
  expect(info.unsharedBytes - info.bytes).toBe(layer.length);
  expect(info.diskBytes).toBeGreaterThanOrEqual((await stat(box.path('reserve'))).blocks > 0 ? 1 : 0);
  expect(info.fileSystem.totalBytes).toBeGreaterThan(info.fileSystem.freeBytes);
});
