import { spawnSync } from 'node:child_process';
import { createReadStream, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe as descriptorOf, type Descriptor } from '../../../src/oci/descriptor.ts';
import { digestHex } from '../../../src/oci/digest.ts';
import type { Index } from '../../../src/oci/manifest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { parseReference } from '../../../src/oci/reference.ts';
import { listLocal } from '../../../src/operations/list/local.ts';
import { load } from '../../../src/operations/transfer/load.ts';
import { save, type SaveArguments } from '../../../src/operations/transfer/save.ts';
import { openArchive } from '../../../src/targets/archive.ts';
import type { Target } from '../../../src/targets/types.ts';
import { startRegistry } from '../../support/registry.ts';
import { pushIndex, pushSample, type Sample } from '../targets/sample.ts';
import { type Workspace, workspace } from './sandbox.ts';

/** Puts an artifact into the store. */
async function keep({ kit }: Workspace, repository: string, tag: string, options: Parameters<typeof pushSample>[2] = {}): Promise<Sample> {
  const target = (await kit.store()).repository(repository);
  const sample = await pushSample(target, `${repository}:${tag}`, options);
  await target.tag(sample.manifest, tag);
  return sample;
}

/** A ModelKit without layers whose model is `base`, if one is given. */
async function keepModelKit({ kit }: Workspace, repository: string, base?: string): Promise<Descriptor> {
  const target = (await kit.store()).repository(repository);
  const push = async (mediaType: string, content: unknown): Promise<Descriptor> => {
    const bytes = Buffer.from(JSON.stringify(content));
    await target.push(descriptorOf(mediaType, bytes), bytesSource(bytes));
    return descriptorOf(mediaType, bytes);
  };
  const model = base === undefined ? {} : { model: { path: base } };
  const config = await push('application/vnd.kitops.modelkit.config.v1+json', {
    manifestVersion: '1.0.0',
    package: { name: repository },
    ...model,
  });
  const manifest = await push(MEDIA_TYPE.imageManifest, { schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config, layers: [] });
  await target.tag(manifest, 'v1');
  return manifest;
}

const saveTo = async (space: Workspace, file: string, names: readonly string[], options: Partial<SaveArguments> = {}) =>
  await save(space.kit, { references: names.map(parseReference), output: space.path(file), ...options }, space.call);

const warningsOf = ({ events }: Workspace): string[] => events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));

async function indexOf(file: string): Promise<Index> {
  const archive = await openArchive(file);
  return { schemaVersion: 2, manifests: await archive.entries() };
}

async function expectWhole(space: Workspace, repository: string, tag: string, { manifest, config, layers }: Sample): Promise<void> {
  const target = (await space.kit.store()).repository(repository);
  expect((await target.resolve(tag)).digest).toBe(manifest.digest);
  for (const blob of [manifest, config, ...layers]) expect(await target.has(blob)).toBe(true);
}

describe('save and load', () => {
  test('artifacts under their names, shared blobs once', async () => {
    const [here, there] = [workspace(), workspace()];
    const a = await keep(here, 'tiny', 'v1', { layers: ['shared', 'a'] });
    const b = await keep(here, 'ghcr.io/team/model', 'v2', { layers: ['shared', 'b'] });
    const saved = await saveTo(here, 'all.tar', ['tiny:v1', 'ghcr.io/team/model:v2']);
    expect(saved).toEqual([
      { reference: 'tiny:v1', digest: a.manifest.digest, neededBy: undefined },
      { reference: 'ghcr.io/team/model:v2', digest: b.manifest.digest, neededBy: undefined },
    ]);
    const archive = readFileSync(here.path('all.tar'));
    expect(archive.indexOf('shared')).toBe(archive.lastIndexOf('shared'));
    expect(await load(there.kit, { input: here.path('all.tar') })).toEqual([
      { reference: 'ghcr.io/team/model:v2', digest: b.manifest.digest },
      { reference: 'tiny:v1', digest: a.manifest.digest },
    ]);
    await expectWhole(there, 'tiny', 'v1', a);
    await expectWhole(there, 'ghcr.io/team/model', 'v2', b);
    expect(existsSync(`${there.home}/storage/ingest`) ? readdirSync(`${there.home}/storage/ingest`) : []).toEqual([]);
    expect(readdirSync(`${there.home}/storage/leases`)).toEqual([]);
  });

  test('the same input gives the same bytes, wherever it comes from', async () => {
    const [here, there] = [workspace(), workspace()];
    const { manifest } = await keep(here, 'tiny', 'v1');
    await keep(here, 'other', 'v1');
    await pushSample((await here.kit.store()).repository('tiny'), 'signature', { subject: manifest });
    await saveTo(here, 'one.tar', ['tiny:v1', 'other:v1'], { referrers: true });
    await load(there.kit, { input: here.path('one.tar') });
    await saveTo(there, 'two.tar', ['other:v1', 'tiny:v1'], { referrers: true });
    expect(readFileSync(there.path('two.tar')).equals(readFileSync(here.path('one.tar')))).toBe(true);
    const chunks: Uint8Array[] = [];
    const output: SaveArguments['output'] = async (bytes) => {
      for await (const chunk of bytes) chunks.push(Buffer.from(chunk));
    };
    await saveTo(here, '', ['tiny:v1', 'other:v1'], { referrers: true, output });
    expect(Buffer.concat(chunks).equals(readFileSync(here.path('one.tar')))).toBe(true);
  });

  test('an index, several tags, a digest in its repository, a bare digest', async () => {
    const [here, there] = [workspace(), workspace()];
    const target = (await here.kit.store()).repository('tiny');
    const [a, b] = [await pushSample(target, 'a'), await pushSample(target, 'b')];
    const index = await pushIndex(target, [a.manifest]);
    await target.tag(index, 'all');
    await target.tag(b.manifest, 'v1');
    await target.tag(b.manifest, 'v2');
    const c = await keep(here, 'gone', 'v1');
    await saveTo(here, 'x.tar', ['tiny:all', 'tiny:v1,v2', `tiny@${b.manifest.digest}`, c.manifest.digest]);
    const loaded = await load(there.kit, { input: here.path('x.tar') });
    expect(loaded.map(({ reference }) => reference)).toEqual(['tiny:all', 'tiny:v1', 'tiny:v2', `tiny@${b.manifest.digest}`, undefined]);
    await expectWhole(there, 'tiny', 'v2', b);
    const store = await there.kit.store();
    expect((await store.repository('tiny').resolve('all')).digest).toBe(index.digest);
    expect(await store.repository('tiny').has(a.config)).toBe(true);
    expect((await store.repository('').resolve(c.manifest.digest)).digest).toBe(c.manifest.digest);
    await expect(store.repository('gone').resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test('what refers to an artifact comes along when asked for, and is found again', async () => {
    const [here, there] = [workspace(), workspace()];
    const model = await keep(here, 'tiny', 'v1');
    const target = (await here.kit.store()).repository('tiny');
    const sbom = await pushSample(target, 'sbom', { subject: model.manifest });
    const signature = await pushSample(target, 'signature', { subject: sbom.manifest });
    const legacy = await pushSample(target, 'legacy');
    await target.tag(legacy.manifest, `sha256-${digestHex(model.manifest.digest)}.sig`);
    await saveTo(here, 'without.tar', ['tiny:v1']);
    expect((await indexOf(here.path('without.tar'))).manifests).toHaveLength(1);
    await saveTo(here, 'with.tar', ['tiny:v1'], { referrers: true });
    await load(there.kit, { input: here.path('with.tar'), name: parseReference('elsewhere') });
    const found = (await there.kit.store()).repository('elsewhere');
    const referrers = async (of: Sample) => (await Array.fromAsync(found.can.referrers?.(of.manifest) ?? [])).map(({ digest }) => digest);
    expect(await referrers(model)).toEqual([sbom.manifest.digest]);
    expect(await referrers(sbom)).toEqual([signature.manifest.digest]);
    expect((await found.resolve(`sha256-${digestHex(model.manifest.digest)}.sig`)).digest).toBe(legacy.manifest.digest);
  });

  test('through a pipe as from a file', async () => {
    const [here, there] = [workspace(), workspace()];
    const sample = await keep(here, 'tiny', 'v1', { layers: [Buffer.alloc(2_000_000, 7), ''] });
    await saveTo(here, 'a.tar', ['tiny:v1']);
    const bytes = createReadStream(here.path('a.tar'));
    expect(await load(there.kit, { input: { name: 'standard input', bytes } }, there.call)).toMatchObject([{ reference: 'tiny:v1' }]);
    await expectWhole(there, 'tiny', 'v1', sample);
    expect(there.events.filter((event) => event.type === 'done')).toHaveLength(4);
    expect(readdirSync(`${there.home}/storage/leases`)).toEqual([]);
  });

  test('a named pipe is read as one', async (context) => {
    const [here, there] = [workspace(), workspace()];
    const sample = await keep(here, 'tiny', 'v1');
    if (spawnSync('mkfifo', [there.path('pipe')]).status !== 0) context.skip('there is no mkfifo');
    await saveTo(here, 'a.tar', ['tiny:v1']);
    // either end waits for the other
    const [loaded] = await Promise.all([
      load(there.kit, { input: there.path('pipe') }),
      writeFile(there.path('pipe'), readFileSync(here.path('a.tar'))),
    ]);
    await expectWhole(there, 'tiny', 'v1', sample);
    expect(loaded).toMatchObject([{ reference: 'tiny:v1' }]);
  });

  test('from a registry, without keeping anything here', async () => {
    const [here, there] = [workspace(), workspace()];
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    const { remoteRepository } = await import('../../../src/targets/remote.ts');
    const target: Target = remoteRepository(await here.kit.registry(), registry.host, 'team/model');
    const sample = await pushSample(target, 'remote');
    await target.tag(sample.manifest, 'latest');
    await saveTo(here, 'a.tar', [`${registry.host}/team/model`]);
    expect(existsSync(here.home)).toBe(false);
    await load(there.kit, { input: here.path('a.tar') });
    await expectWhole(there, `${registry.host}/team/model`, 'latest', sample);
  });
});

/** An archive as another tool writes it: one artifact an entry, with these annotations. */
async function archiveOf(space: Workspace, entries: readonly Record<string, string>[], sameContent = false): Promise<string> {
  const file = space.path('theirs.tar');
  const { archiveStream, writeArchiveFile } = await import('../../../src/targets/archive-stream.ts');
  const blobs = new Map<string, { blob: Descriptor; bytes: Buffer }>();
  const manifests = entries.map((annotations, position) => {
    const config = Buffer.from('{}');
    const content = {
      schemaVersion: 2,
      config: descriptorOf(MEDIA_TYPE.emptyJson, config),
      layers: [],
      annotations: { n: sameContent ? '' : String(position) },
    };
    const bytes = Buffer.from(JSON.stringify(content));
    const manifest = descriptorOf(MEDIA_TYPE.imageManifest, bytes);
    for (const [blob, of] of [
      [manifest, bytes],
      [content.config, config],
    ] as const)
      blobs.set(blob.digest, { blob, bytes: of });
    return { ...manifest, annotations };
  });
  const members = [...blobs.values()].map(({ blob, bytes }) => ({ blob, open: () => bytesSource(bytes).open() }));
  await writeArchiveFile(file, archiveStream({ schemaVersion: 2, manifests }, members));
  return file;
}

describe('names in an archive', () => {
  const SKOPEO = 'org.opencontainers.image.ref.name';
  const CONTAINERD = 'io.containerd.image.name';

  test.each<[string, readonly Record<string, string>[], string | undefined, readonly (string | undefined)[]]>([
    ['skopeo, given a full name', [{ [SKOPEO]: 'ghcr.io/team/x:v1' }], undefined, ['ghcr.io/team/x:v1']],
    ['docker and nerdctl', [{ [CONTAINERD]: 'docker.io/library/x:v1', [SKOPEO]: 'v1' }], undefined, ['docker.io/library/x:v1']],
    ['a name without a tag', [{ [SKOPEO]: 'ghcr.io/team/x' }], undefined, ['ghcr.io/team/x:latest']],
    ['a tag, with --name', [{ [SKOPEO]: 'v1' }], 'mine', ['mine:v1']],
    ['a tag, with --name and a tag', [{ [SKOPEO]: 'v1' }], 'mine:v2,v3', ['mine:v2,v3']],
    ['full names, with --name', [{ [SKOPEO]: 'ghcr.io/a:v1' }, { [SKOPEO]: 'ghcr.io/b:v2' }], 'mine', ['mine:v1', 'mine:v2']],
    ['nothing', [{}], undefined, [undefined]],
    ['nothing, with --name', [{}], 'mine', ['mine:latest']],
    ['no reference, with --name', [{ [SKOPEO]: 'Not A Name!' }], 'mine', ['mine:latest']],
  ])('%s', async (_, entries, name, expected) => {
    const space = workspace();
    const file = await archiveOf(space, entries);
    const loaded = await load(space.kit, { input: file, ...(name !== undefined && { name: parseReference(name) }) });
    expect(loaded.map(({ reference }) => reference)).toEqual(expected);
    const store = await space.kit.store();
    for (const { reference, digest } of loaded) {
      const parsed = parseReference(reference ?? digest);
      for (const tag of parsed.tags) {
        const repository = parsed.registry === undefined ? parsed.repository : `${parsed.registry}/${parsed.repository}`;
        expect((await store.repository(repository).resolve(tag)).digest).toBe(digest);
      }
    }
  });

  test.each<[string, readonly Record<string, string>[], string | undefined, string]>([
    ['only a tag', [{ [SKOPEO]: 'v1' }], undefined, 'USAGE'],
    ['what is no reference', [{ [SKOPEO]: 'Not A Name!' }], undefined, 'REFERENCE_INVALID'],
    ['two that would get one name', [{ [SKOPEO]: 'ghcr.io/a:v1' }, { [SKOPEO]: 'ghcr.io/b:v1' }], 'mine', 'USAGE'],
    ['two for one tag', [{ [SKOPEO]: 'ghcr.io/a:v1' }, { [SKOPEO]: 'ghcr.io/b:v2' }], 'mine:v1', 'USAGE'],
    ['a digest as --name', [{}], `mine@sha256:${'0'.repeat(64)}`, 'USAGE'],
    ['nothing at all', [], undefined, 'REFERENCE_NOT_FOUND'],
  ])('%s is refused, and nothing is stored', async (_, entries, name, code) => {
    const space = workspace();
    const file = await archiveOf(space, entries);
    await expect(load(space.kit, { input: file, ...(name !== undefined && { name: parseReference(name) }) })).rejects.toMatchObject({
      code,
    });
    expect(await listLocal(space.kit)).toEqual([]);
  });

  test('one artifact under two names', async () => {
    const space = workspace();
    const file = await archiveOf(space, [{ [SKOPEO]: 'a/x:v1' }, { [SKOPEO]: 'b/x:v1' }], true);
    expect((await load(space.kit, { input: file })).map(({ reference }) => reference)).toEqual(['a/x:v1', 'b/x:v1']);
    expect(await load(space.kit, { input: file, name: parseReference('c:v9') })).toMatchObject([
      { reference: 'c:v9' },
      { reference: 'c:v9' },
    ]);
  });
});

describe('a damaged archive', () => {
  test.each([true, false])('gets no tag, of none of its artifacts (from a file: %s)', async (isFile) => {
    const [here, there] = [workspace(), workspace()];
    await keep(here, 'good', 'v1', { layers: ['the good one'] });
    await keep(here, 'bad', 'v1', { layers: ['the bad one'] });
    await saveTo(here, 'a.tar', ['good:v1', 'bad:v1']);
    const bytes = readFileSync(here.path('a.tar'));
    bytes[bytes.indexOf('the bad one')] = 0;
    writeFileSync(here.path('a.tar'), bytes);
    const input = isFile ? here.path('a.tar') : { name: 'standard input', bytes: createReadStream(here.path('a.tar')) };
    await expect(load(there.kit, { input })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH', exitCode: 6 });
    const store = await there.kit.store();
    for (const name of ['good', 'bad'])
      await expect(store.repository(name).resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test.each([true, false])('that lacks a blob is refused (from a file: %s)', async (isFile) => {
    const [here, there] = [workspace(), workspace()];
    const { layers } = await keep(here, 'tiny', 'v1');
    await saveTo(here, 'a.tar', ['tiny:v1']);
    const bytes = readFileSync(here.path('a.tar'));
    const [layer] = layers as [Descriptor];
    // another name for the member, with a right check sum
    const at = bytes.indexOf(`blobs/sha256/${digestHex(layer.digest)}`);
    bytes.write('xlobs', at);
    const sum = Number.parseInt(bytes.toString('latin1', at + 148, at + 154), 8) + 'x'.charCodeAt(0) - 'b'.charCodeAt(0);
    bytes.write(sum.toString(8).padStart(6, '0'), at + 148);
    writeFileSync(here.path('a.tar'), bytes);
    const input = isFile ? here.path('a.tar') : { name: 'standard input', bytes: createReadStream(here.path('a.tar')) };
    await expect(load(there.kit, { input })).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND', exitCode: 6 });
    await expect((await there.kit.store()).repository('tiny').resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test('a blob that is damaged in local storage is not saved, and an older file stays', async () => {
    const here = workspace();
    const { layers } = await keep(here, 'tiny', 'v1');
    writeFileSync(here.path('a.tar'), 'before');
    const [layer] = layers as [Descriptor];
    writeFileSync((await here.kit.store()).blobs.pathOf(layer.digest), 'LAYER of tiny:v1');
    await expect(saveTo(here, 'a.tar', ['tiny:v1'])).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(readFileSync(here.path('a.tar'), 'utf8')).toBe('before');
  });
});

describe('what an artifact is based on', () => {
  test('is saved with it, all the way down, and said', async () => {
    const here = workspace();
    await keepModelKit(here, 'base');
    await keepModelKit(here, 'ghcr.io/team/tuned', 'base:v1');
    await keepModelKit(here, 'app', 'ghcr.io/team/tuned:v1');
    const saved = await saveTo(here, 'a.tar', ['app:v1']);
    expect(saved.map(({ reference, neededBy }) => [reference, neededBy])).toEqual([
      ['app:v1', undefined],
      ['ghcr.io/team/tuned:v1', 'app:v1'],
      ['base:v1', 'ghcr.io/team/tuned:v1'],
    ]);
    expect((await indexOf(here.path('a.tar'))).manifests).toHaveLength(3);
    expect(await saveTo(here, 'b.tar', ['app:v1'], { bases: false })).toHaveLength(1);
    // asked for by name it is not needed by another
    expect((await saveTo(here, 'c.tar', ['app:v1', 'base:v1'])).find(({ reference }) => reference === 'base:v1')?.neededBy).toBeUndefined();
  });

  test('is named by digest too, and found under that after loading', async () => {
    const [here, there] = [workspace(), workspace()];
    const base = await keepModelKit(here, 'ghcr.io/team/base');
    await keepModelKit(here, 'app', `ghcr.io/team/base@${base.digest}`);
    await saveTo(here, 'a.tar', ['app:v1']);
    await load(there.kit, { input: here.path('a.tar') });
    expect((await (await there.kit.store()).repository('ghcr.io/team/base').resolve(base.digest)).digest).toBe(base.digest);
  });

  test('is left out with a warning where it is not to be had', async () => {
    const here = workspace();
    await keepModelKit(here, 'app', 'missing:v1');
    expect(await saveTo(here, 'a.tar', ['app:v1'])).toHaveLength(1);
    expect(warningsOf(here)).toEqual([expect.stringMatching(/^missing:v1 is not saved: .*; unpacking app:v1 needs it$/)]);
  });

  test('in a loop is saved once', async () => {
    const here = workspace();
    await keepModelKit(here, 'one', 'two:v1');
    await keepModelKit(here, 'two', 'one:v1');
    expect(await saveTo(here, 'a.tar', ['one:v1'])).toHaveLength(2);
  });

  test('through more than ten others is refused', async () => {
    const here = workspace();
    for (let index = 0; index < 12; index++) await keepModelKit(here, `link-${index}`, `link-${index + 1}:v1`);
    await expect(saveTo(here, 'a.tar', ['link-0:v1'])).rejects.toMatchObject({ code: 'REFERENCE_CYCLE' });
    expect(existsSync(here.path('a.tar'))).toBe(false);
  });
});

test('what is not there is not saved', async () => {
  const here = workspace();
  await expect(saveTo(here, 'a.tar', ['nope:v1'])).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  expect(existsSync(here.path('a.tar'))).toBe(false);
});
