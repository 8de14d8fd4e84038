import { statSync, writeFileSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe as suite, expect, test } from 'vitest';
import type { KitEvent } from '../../../src/events.ts';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { checkStore, requireSound, type StoreCheckArguments, type StoreCheckResult } from '../../../src/operations/store/check.ts';
import { openLayout } from '../../../src/targets/layout.ts';
import { pushIndex, pushSample } from '../targets/sample.ts';
import { type StoreHome, storeHome } from './store-home.ts';

async function check(box: StoreHome, args?: StoreCheckArguments): Promise<StoreCheckResult> {
  return await checkStore(box.kit, args);
}

/** Code and users of each finding, and what was done. */
function brief({ findings }: StoreCheckResult): string[] {
  return findings.map(({ code, usedBy, repaired }) => [code, ...usedBy, ...(repaired === undefined ? [] : ['repaired'])].join(' '));
}

async function filesOf(folder: string): Promise<string[]> {
  return (await readdir(folder, { recursive: true })).toSorted();
}

async function namesIn({ store }: StoreHome): Promise<string[]> {
  return (await store.list()).map(({ repository, tags, descriptor }) => `${repository}:${tags.join(',')}@${descriptor.digest}`).toSorted();
}

async function layoutHome(): Promise<
  StoreHome & { readonly directory: string; readonly args: StoreCheckArguments; readonly layer: Descriptor }
> {
  const box = await storeHome();
  const directory = join(box.home, 'layout');
  const target = await openLayout(directory, { create: true });
  const { manifest, layers } = await pushSample(target, 'tiny');
  await target.tag(manifest, 'v1');
  return {
    ...box,
    directory,
    args: { layout: { type: 'layout', path: directory, reference: undefined } },
    layer: (layers as [Descriptor])[0],
  };
}

function digestsOf(names: readonly string[]): string[] {
  return names.map((name) => name.replace(/^.*@/, '')).toSorted();
}

function layoutAt(path: string): StoreCheckArguments {
  return { layout: { type: 'layout', path, reference: undefined } };
}

/** Two tags of a ModelKit, an untagged one, a signature, and an artifact that KitOps cannot list. */
async function filled(): Promise<StoreHome & { readonly names: string[] }> {
  const box = await storeHome();
  const { manifest } = await box.add('tiny:v1');
  await box.store.tag('tiny', manifest, 'latest');
  await box.add('tiny:old', { tag: false });
  const signature = await box.add('tiny:sha256-abc.sig', { subject: manifest });
  expect(signature.layers).toHaveLength(1);
  const image = await pushSample(box.store.repository('image'), 'image', { configMediaType: 'application/vnd.oci.image.config.v1+json' });
  await box.store.tag('image', image.manifest, 'v1');
  return { ...box, names: await namesIn(box) };
}

suite('a store that is well', () => {
  test('is well, and read to the last byte', async () => {
    const box = await storeHome();
    await box.add('tiny:v1', { layers: ['one', 'two'] });
    await box.add('tiny:v2', { layers: ['one'] });
    const events: KitEvent[] = [];
    const result = await checkStore(box.kit, {}, { onEvent: (event) => events.push(event) });
    expect(result).toMatchObject({ manifests: 2, references: 2, blobs: 6, findings: [], ok: true });
    expect(result.verifiedBytes).toBe(result.bytes);
    // manifests are read on the way to the blobs
    const told = events.reduce((sum, event) => sum + (event.type === 'bytes' ? event.delta : 0), 0);
    const [plan] = events.filter((event) => event.type === 'plan');
    expect(plan).toEqual({ type: 'plan', blobs: 4, bytes: told });
  });

  test('nothing at all is well', async () => {
    const box = await storeHome();
    expect(await check(box)).toMatchObject({ manifests: 0, blobs: 0, findings: [], ok: true });
    expect(await readdir(box.home)).toEqual([]);
  });

  test('a check changes nothing, found or not', async () => {
    const box = await storeHome();
    const { layers } = await box.add('tiny:v1');
    if (layers[0]) await box.damage(layers[0].digest);
    await writeFile(box.path('ingest', 'sha256-x.garbage'), 'x');
    const before = await filesOf(box.home);
    const index = await readFile(box.path('index.json'), 'utf8');
    await check(box);
    expect(await filesOf(box.home)).toEqual(before);
    expect(await readFile(box.path('index.json'), 'utf8')).toBe(index);
  });
});

suite('damage', () => {
  test('a changed blob, with every reference that needs it; --quick does not see it, and a repair makes room for the next pull', async () => {
    const box = await storeHome();
    const { layers, manifest } = await box.add('tiny:v1', { layers: ['shared'] });
    await box.store.tag('other', manifest, 'v9');
    await box.add('fine:v1');
    const [layer] = layers as [Descriptor];
    await box.damage(layer.digest);
    expect((await check(box, { quick: true })).ok).toBe(true);

    const result = await check(box);
    expect(brief(result)).toEqual(['blob-damaged other:v9 tiny:v1']);
    expect(result).toMatchObject({ ok: false, findings: [{ digest: layer.digest, severity: 'damage' }] });
    expect(() => requireSound(result)).toThrow('local storage is damaged: other:v9, tiny:v1 cannot be used');

    expect((await check(box, { repair: true })).ok).toBe(false);
    expect(await readdir(box.path('ingest'))).toEqual([`${layer.digest.replace(':', '-')}.damaged`]);
    expect(brief(await check(box))).toEqual(['blob-missing other:v9 tiny:v1', 'leftovers']);
    await pushSample(box.store.repository('tiny'), 'tiny:v1', { layers: ['shared'] });
    expect((await check(box)).ok).toBe(true);
  });

  test('a stamp that says that the blob was verified is not believed', async () => {
    const box = await storeHome();
    const { layers } = await box.add('tiny:v1', { layers: ['abcdef'] });
    const [layer] = layers as [Descriptor];
    await box.damage(layer.digest);
    // a stamp for the file as it is now
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(box.blobPath(layer.digest), { bigint: true });
    await writeFile(box.path('verified-blobs'), `${layer.digest} ${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}\n`);
    expect(brief(await check(box))).toEqual(['blob-damaged tiny:v1']);
  });

  test('a cut blob shows in --quick too, and is named once', async () => {
    const box = await storeHome();
    const { layers } = await box.add('tiny:v1', { layers: ['abcdef'] });
    const [layer] = layers as [Descriptor];
    await truncate(box.blobPath(layer.digest), 2);
    expect(brief(await check(box, { quick: true }))).toEqual(['size-wrong tiny:v1']);
    expect(brief(await check(box))).toEqual(['blob-damaged tiny:v1']);
  });

  test('a manifest that gives a wrong size of a sound blob', async () => {
    const box = await storeHome();
    const { layers, config } = await box.add('tiny:v1', { layers: ['abcdef'] });
    const repository = box.store.repository('lying');
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config,
        layers: layers.map((layer) => ({ ...layer, size: 7 })),
      }),
    );
    const manifest = describe('application/vnd.oci.image.manifest.v1+json', bytes);
    await repository.push(manifest, bytesSource(bytes));
    await repository.tag(manifest, 'v1');
    expect(brief(await check(box))).toEqual(['size-wrong lying:v1']);
    // the blob is right: it is not moved aside
    await check(box, { repair: true });
    expect(brief(await check(box))).toEqual(['size-wrong lying:v1']);
  });

  test('a missing blob, a missing manifest, a damaged one, and a member of an index', async () => {
    const box = await storeHome();
    const blob = await box.add('a:v1', { layers: ['only a has it'] });
    const gone = await box.add('b:v1');
    const changed = await box.add('c:v1');
    const member = await box.add('d:v1', { tag: false });
    const index = await pushIndex(box.store.repository('d'), [member.manifest]);
    await box.store.tag('d', index, 'all');
    await rm(box.blobPath((blob.layers as [Descriptor])[0].digest));
    await rm(box.blobPath(gone.manifest.digest));
    await box.damage(changed.manifest.digest);
    await rm(box.blobPath(member.manifest.digest));
    const found = brief(await check(box)).filter((line) => !line.startsWith('unreached'));
    expect(found.toSorted()).toEqual(['blob-missing a:v1', 'manifest-damaged c:v1', 'manifest-missing b:v1', 'manifest-missing d:all']);

    const repaired = brief(await check(box, { repair: true })).filter((line) => line.endsWith('repaired'));
    expect(repaired.toSorted()).toEqual(['manifest-damaged c:v1 repaired', 'manifest-missing b:v1 repaired']);
    expect((await box.store.list()).map(({ repository, tags }) => `${repository}:${tags.join(',')}`)).toEqual(['a:v1', 'd:all']);
    const left = brief(await check(box)).filter((line) => line.startsWith('blob') || line.startsWith('manifest'));
    expect(left.toSorted()).toEqual(['blob-missing a:v1', 'manifest-missing d:all']);
  });

  test('a pipe or a folder in the place of a blob is not waited for', async () => {
    const box = await storeHome();
    const { layers } = await box.add('tiny:v1', { layers: ['abcdef'] });
    const path = box.blobPath((layers as [Descriptor])[0].digest);
    await rm(path);
    await mkdir(path);
    expect((await check(box)).ok).toBe(false);
  });

  test.skipIf(process.getuid?.() === 0 || process.platform === 'win32')('a blob that may not be read', async () => {
    const box = await storeHome();
    const { layers } = await box.add('tiny:v1', { layers: ['abcdef'] });
    await chmod(box.blobPath((layers as [Descriptor])[0].digest), 0);
    expect(brief(await check(box))).toEqual(['blob-unreadable tiny:v1']);
  });
});

suite('lists', () => {
  const BROKEN = '{"schemaVersion":2,"manif';

  test.each(['index.json', 'tiny tags', 'tiny index'])('a broken %s is rebuilt with its tags', async (which) => {
    const box = await filled();
    const kitops = `${Buffer.from('localhost/tiny').toString('base64')}-${which.split(' ')[1] ?? ''}.json`;
    const file = box.path(which === 'index.json' ? which : kitops);
    await writeFile(file, BROKEN);
    await expect(box.store.list()).rejects.toMatchObject({
      code: 'STORE_INVALID',
      hint: expect.stringContaining('kit store check --repair') as string,
    });
    const result = await check(box);
    expect(result).toMatchObject({ ok: false, findings: [{ code: 'index-broken', path: file }] });
    expect(() => requireSound(result)).toThrow('local storage is damaged');
    expect(await check(box, { repair: true })).toMatchObject({ ok: true });
    expect(await readFile(`${file}.broken`, 'utf8')).toBe(BROKEN);
    expect(await namesIn(box)).toEqual(box.names);
    expect(await check(box)).toMatchObject({ ok: true, findings: [] });
  });

  test('without any backup what was listed comes back untagged, a signature where its subject is', async () => {
    const box = await filled();
    await rm(box.path('index.json'));
    await rm(box.path('index.json.bak'));
    expect(await check(box)).toMatchObject({ ok: false, findings: [{ code: 'index-missing', severity: 'damage' }] });
    expect((await check(box, { repair: true })).ok).toBe(true);
    const now = await namesIn(box);
    expect(digestsOf(now)).toEqual(digestsOf(box.names));
    expect(now.filter((name) => name.includes('v1'))).toEqual(box.names.filter((name) => name.startsWith('tiny:latest,v1')));
    // the image is in no repository that could be told
    expect(now.filter((name) => name.startsWith('_:@'))).toHaveLength(1);
    expect((await check(box)).findings).toEqual([]);
  });

  test('everything lost but the blobs: every artifact is there again, untagged', async () => {
    const box = await filled();
    for (const name of await readdir(box.path())) if (name.endsWith('.json') || name.endsWith('.bak')) await rm(box.path(name));
    expect((await check(box)).ok).toBe(false);
    await check(box, { repair: true });
    expect(digestsOf(await namesIn(box))).toEqual(digestsOf(box.names));
    expect((await check(box)).ok).toBe(true);
  });

  test('a lost oci-layout file', async () => {
    const box = await filled();
    await rm(box.path('oci-layout'));
    expect(brief(await check(box))).toEqual(['marker-missing']);
    await check(box, { repair: true });
    expect(await namesIn(box)).toEqual(box.names);
    expect((await check(box)).findings).toEqual([]);
  });

  test('an index.json that is behind the files of KitOps is a note', async () => {
    const box = await filled();
    const index = await readFile(box.path('index.json'), 'utf8');
    await box.store.untag('tiny', 'v1');
    await writeFile(box.path('index.json'), index);
    const result = await check(box);
    expect(result.ok).toBe(true);
    expect(brief(result)).toEqual(['index-behind']);
    await check(box, { repair: true });
    expect((await check(box)).findings).toEqual([]);
  });
});

suite('notes', () => {
  test('strange files, leftovers, partial downloads and unreached blobs do no harm', async () => {
    const box = await storeHome();
    await box.add('tiny:v1');
    const { manifest } = await box.add('gone:v1');
    await box.store.remove('gone', manifest.digest);
    await writeFile(box.path('blobs/sha256/README'), 'x');
    await mkdir(box.path('blobs/md5'));
    await writeFile(box.path('ingest', `sha256-${'a'.repeat(64)}.partial`), 'x');
    await writeFile(box.path('ingest', 'sha256-x.garbage'), 'x');
    const result = await check(box);
    expect(result.ok).toBe(true);
    expect(brief(result).toSorted()).toEqual(['leftovers', 'partials', 'stray-file', 'stray-file', 'unreached']);
    requireSound(result);
    const repaired = await check(box, { repair: true });
    expect(brief(repaired)).toContain('leftovers repaired');
    // what may be wanted stays
    expect(brief(await check(box)).toSorted()).toEqual(['partials', 'stray-file', 'stray-file', 'unreached']);
  });

  test.skipIf(process.platform === 'win32')('a store that everybody can write to', async () => {
    const box = await storeHome();
    await box.add('tiny:v1');
    await chmod(box.path('blobs'), 0o777);
    const result = await check(box);
    expect(result).toMatchObject({ ok: true, findings: [{ code: 'writable-by-all', path: box.path('blobs') }] });
  });
});

suite('image layouts', () => {
  test('one that is well, one that is damaged', async () => {
    const { kit, args, directory, layer } = await layoutHome();
    expect(await checkStore(kit, args)).toMatchObject({ name: `oci:${directory}`, references: 1, blobs: 3, findings: [], ok: true });
    await writeFile(join(directory, 'blobs/sha256', layer.digest.slice(7)), 'x'.repeat(layer.size));
    expect(brief(await checkStore(kit, args))).toEqual(['blob-damaged v1']);
  });

  test('a broken index is rebuilt from the blobs', async () => {
    const { kit, args, directory } = await layoutHome();
    await writeFile(join(directory, 'index.json'), '[]');
    expect(brief(await checkStore(kit, args))).toEqual(['index-broken']);
    expect((await checkStore(kit, { ...args, repair: true })).ok).toBe(true);
    const entries = await (await openLayout(directory)).entries();
    expect(entries).toHaveLength(1);
    expect((await checkStore(kit, args)).findings).toEqual([]);
  });

  test('what another process takes off the list meanwhile is no damage', async () => {
    const { kit, args, directory, layer } = await layoutHome();
    await writeFile(join(directory, 'blobs/sha256', layer.digest.slice(7)), 'x'.repeat(layer.size));
    const onEvent = (event: KitEvent): void => {
      // the damage has been found by then
      if (event.type === 'done') writeFileSync(join(directory, 'index.json'), '{"schemaVersion":2,"manifests":[]}');
    };
    const result = await checkStore(kit, args, { onEvent });
    expect(brief(result)).toEqual(['unreached']);
    expect(result.ok).toBe(true);
  });

  test('what is no layout', async () => {
    const { kit, directory } = await layoutHome();
    await expect(checkStore(kit, layoutAt(`${directory}-none`))).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    await expect(checkStore(kit, layoutAt(join(directory, 'blobs')))).rejects.toMatchObject({ code: 'STORE_INVALID' });
    await expect(checkStore(kit, { layout: { type: 'archive', path: 'x', reference: undefined } })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});

test('a home that was copied elsewhere is checked there', async () => {
  const box = await storeHome();
  await box.add('tiny:v1');
  const other = await storeHome();
  await cp(box.home, other.home, { recursive: true });
  await rename(other.path('verified-blobs'), other.path('verified-blobs.old'));
  expect((await check(other)).ok).toBe(true);
});
