import { rmSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { emptyModelIndex } from '../../../src/formats/model-index.ts';
import { describe as descriptorOf } from '../../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { stringifyLikeGo } from '../../../src/oci/json.ts';
import { parseLocation, parseReference } from '../../../src/oci/reference.ts';
import { copy } from '../../../src/operations/transfer/copy.ts';
import { listLocal } from '../../../src/operations/list/local.ts';
import { indexInfo, inspectIndex, listIndexes } from '../../../src/operations/model-index/model-index.ts';
import { addToIndex, createIndex, deleteIndex, removeFromIndex } from '../../../src/operations/model-index/edit.ts';
import { pullIndex, pullVariant } from '../../../src/operations/model-index/pull.ts';
import { pushIndex } from '../../../src/operations/model-index/push.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { remove } from '../../../src/operations/store/remove.ts';
import { checkStore } from '../../../src/operations/store/check.ts';
import { tag } from '../../../src/operations/store/tag.ts';
import { pull } from '../../../src/operations/transfer/pull.ts';
import { push } from '../../../src/operations/transfer/push.ts';
import { chooseVariant } from '../../../src/operations/model-index/variant.ts';
import { parseLabelEdits } from '../../../src/operations/model-index/variant-labels.ts';
import { startRegistry } from '../../support/registry.ts';
import { type Workspace, workspace } from './sandbox.ts';

/** ModelKits with these tags in a repository, and an index `all` of them with the tag as the label `q`. */
async function indexed(box: Workspace, repository: string, tags: readonly string[]): Promise<Record<string, string>> {
  const index = parseReference(`${repository}:all`);
  await createIndex(box.kit, index);
  const digests: Record<string, string> = {};
  for (const one of tags) {
    box.write({ [`${one}/w.bin`]: `weights of ${one}`, [`${one}/Kitfile`]: 'manifestVersion: 1.0.0\nmodel: {path: w.bin}\n' });
    const destination = parseLocation(`${repository}:${one}`);
    digests[one] = (await pack(box.kit, { directory: box.path(one), destination })).digest;
    await addToIndex(box.kit, {
      index,
      modelkit: parseReference(`${repository}:${one}`),
      labels: parseLabelEdits([`q=${one}`, 'gpu=any']),
    });
  }
  return digests;
}

describe('editing', () => {
  test('ten at the same time are all in it', async () => {
    const box = workspace();
    const tags = Array.from({ length: 10 }, (_, number) => `t${number}`);
    await indexed(box, 'm', []);
    for (const one of tags) {
      box.write({ [`${one}/w.bin`]: one, [`${one}/Kitfile`]: 'manifestVersion: 1.0.0\nmodel: {path: w.bin}\n' });
      await pack(box.kit, { directory: box.path(one), destination: parseLocation(`m:${one}`) });
    }
    const index = parseReference('m:all');
    await Promise.all(tags.map(async (one) => await addToIndex(box.kit, { index, modelkit: parseReference(`m:${one}`) })));
    const { variants } = await indexInfo(box.kit, parseLocation('m:all'), 'local');
    expect(variants.map((one) => one.tag ?? '').toSorted()).toEqual(tags);
    // none of the versions on the way is left
    expect(await listIndexes(box.kit)).toHaveLength(1);
  });

  test('a name that is taken, one of another repository, one that is not there, an index in an index', async () => {
    const box = workspace();
    await indexed(box, 'm', ['a']);
    const [index, a] = [parseReference('m:all'), parseReference('m:a')];
    await expect(createIndex(box.kit, index)).rejects.toMatchObject({ code: 'REFERENCE_EXISTS' });
    await expect(createIndex(box.kit, a)).rejects.toMatchObject({ code: 'REFERENCE_EXISTS' });
    await expect(addToIndex(box.kit, { index: parseReference('n:all'), modelkit: a })).rejects.toMatchObject({ code: 'USAGE' });
    await expect(addToIndex(box.kit, { index: parseReference('m:none'), modelkit: a })).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
    });
    await expect(addToIndex(box.kit, { index, modelkit: parseReference('m:none') })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(addToIndex(box.kit, { index, modelkit: index })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(addToIndex(box.kit, { index: a, modelkit: a })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(removeFromIndex(box.kit, index, parseReference('m:none'))).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(deleteIndex(box.kit, a)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('what leaves an index, or loses it, stays in the store', async () => {
    const box = workspace();
    const { a, b } = await indexed(box, 'm', ['a', 'b']);
    const digests = async () => (await listLocal(box.kit)).map(({ digest, tags }) => `${tags.join()} ${digest}`).toSorted();
    const both = [` ${a}`, ` ${b}`].toSorted();
    // held by the index alone
    for (const one of ['a', 'b']) await remove(box.kit, parseReference(`m:${one}`));
    expect(await digests()).toEqual(both);
    await removeFromIndex(box.kit, parseReference('m:all'), parseReference(a ?? ''));
    expect(await digests()).toEqual(both);
    await deleteIndex(box.kit, parseReference('m:all'));
    expect(await digests()).toEqual(both);
    expect(await checkStore(box.kit, { quick: false, repair: false })).toMatchObject({ ok: true });
  });

  test('a tag of several goes alone, and all go by force', async () => {
    const box = workspace();
    await indexed(box, 'm', ['a']);
    await tag(box.kit, parseReference('m:all'), parseReference('m:also'));
    expect(await deleteIndex(box.kit, parseReference('m:all'))).toMatchObject({ outcome: 'untagged' });
    await tag(box.kit, parseReference('m:also'), parseReference('m:all'));
    expect(await deleteIndex(box.kit, parseReference('m:all'), { force: true })).toMatchObject({
      outcome: 'removed',
      tags: ['all', 'also'],
    });
    expect(await listIndexes(box.kit)).toEqual([]);
  });
});

async function pushed(): Promise<{ box: Workspace; repository: string; digests: Record<string, string> }> {
  const registry = await startRegistry();
  onTestFinished(() => registry.close());
  const box = workspace();
  const repository = `${registry.host}/team/m`;
  const digests = await indexed(box, repository, ['a', 'b']);
  await pushIndex(box.kit, { source: parseLocation(`${repository}:all`) });
  return { box, repository, digests };
}

describe('with a registry', () => {
  test('an index is pulled alone, extended from afar, and pushed again: the rest is there', async () => {
    const { repository, digests } = await pushed();
    const other = workspace();
    await pullIndex(other.kit, parseReference(`${repository}:all`));
    expect(await listLocal(other.kit)).toEqual([]);
    expect(await checkStore(other.kit, { quick: false, repair: false })).toMatchObject({ ok: true, findings: [] });
    const modelkit = parseReference(`${repository}@${digests['a']}`);
    const index = parseReference(`${repository}:all`);
    await addToIndex(other.kit, { index, modelkit, remote: true, labels: parseLabelEdits(['tested=yes']) });
    await tag(other.kit, index, parseReference(`${repository}:again`));
    await push(other.kit, { source: parseLocation(`${repository}:again`) });
    const { variants } = await indexInfo(other.kit, parseLocation(`${repository}:again`), 'remote');
    expect(variants.map(({ labels }) => labels.get('tested'))).toEqual(['yes', undefined]);
    // nowhere else is what it lists
    await expect(
      push(other.kit, { source: parseLocation(`${repository}:all`), destination: parseLocation(`${repository}2:all`) }),
    ).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
    await expect(
      copy(other.kit, {
        source: parseLocation(`${repository}:all`),
        destination: parseLocation(`oci:${other.path('lay')}:all`),
        fromLocal: true,
      }),
    ).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
  });

  test('one variant is pulled, with its tag where the registry has it', async () => {
    const { box, repository, digests } = await pushed();
    await push(box.kit, { source: parseLocation(`${repository}:a`) });
    const other = workspace();
    for (const one of ['a', 'b']) {
      const chosen = await chooseVariant(other.kit, parseLocation(`${repository}:all`), 'remote', { q: one, gpu: 'any' });
      await pullVariant(other.kit, chosen);
    }
    expect((await listLocal(other.kit)).map(({ tags, digest }) => `${tags.join()} ${digest}`).toSorted()).toEqual([
      ` ${digests['b']}`,
      `a ${digests['a']}`,
    ]);
  });

  test('all of it is pulled, listed, and copied', async () => {
    const { repository, digests } = await pushed();
    const other = workspace();
    await pull(other.kit, parseLocation(`${repository}:all`));
    expect((await listLocal(other.kit)).map(({ digest }) => digest)).toEqual(Object.values(digests).toSorted());
    const layout = parseLocation(`oci:${other.path('lay')}:all`);
    await copy(other.kit, { source: parseLocation(`${repository}:all`), destination: layout });
    const chosen = await chooseVariant(other.kit, layout, 'local', { q: 'b' });
    const chosenFrom = { digest: chosen.index.digest, name: `oci:${other.path('lay')}:all` };
    expect(chosen.location).toEqual({ type: 'layout', path: other.path('lay'), reference: digests['b'], chosenFrom });
  });
});

describe('choosing', () => {
  test('none, several, an empty index, no index', async () => {
    const box = workspace();
    await indexed(box, 'm', ['a', 'b']);
    await createIndex(box.kit, parseReference('m:empty'));
    const choose = async (name: string, labels: Record<string, string>) =>
      await chooseVariant(box.kit, parseLocation(name), 'local', labels);
    await expect(choose('m:all', { q: 'c' })).rejects.toThrow(/no artifact of m:all has q=c; there is:\n.*q=a.*\n.*q=b/s);
    await expect(choose('m:all', { q: 'c' })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(choose('m:all', { toString: 'x' })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(choose('m:all', { gpu: 'any' })).rejects.toThrow(/^2 artifacts of m:all have gpu=any:/);
    await expect(choose('m:empty', { q: 'a' })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(choose('m:a', { q: 'a' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect((await choose('m:all', { q: 'b', gpu: 'any' })).tag).toBe('b');
  });

  test('an artifact that is listed twice is one', async () => {
    const box = workspace();
    const { a } = await indexed(box, 'm', ['a', 'b']);
    const repository = (await box.kit.store()).repository('m');
    const listed = (await inspectIndex(box.kit, parseLocation('m:all'), 'local')) as { manifests: unknown[] };
    const bytes = Buffer.from(stringifyLikeGo({ ...listed, manifests: [...listed.manifests, listed.manifests[0]] }));
    const twice = descriptorOf(MEDIA_TYPE.imageIndex, bytes);
    await repository.push(twice, bytesSource(bytes));
    await repository.tag(twice, 'twice');
    const chosen = await chooseVariant(box.kit, parseLocation('m:twice'), 'local', { q: 'a' });
    expect(chosen.descriptor.digest).toBe(a);
  });

  test('what an index of the store lists and the store lacks is looked for in the registry', async () => {
    const box = workspace();
    const digests = await indexed(box, 'm', ['a']);
    const store = await box.kit.store();
    rmSync(store.blobs.pathOf(digests['a'] as `sha256:${string}`));
    await expect(store.repository('m').resolve(digests['a'] ?? '')).resolves.toMatchObject({ digest: digests['a'] });
    await remove(box.kit, parseReference('m:a'));
    await expect(store.repository('m').resolve(digests['a'] ?? '')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });
});

test('an index of another kind is not changed', async () => {
  const box = workspace();
  await indexed(box, 'm', ['a']);
  const repository = (await box.kit.store()).repository('m');
  const bytes = Buffer.from(
    emptyModelIndex()
      .toString()
      .replace(/"artifactType":"[^"]*",/, ''),
  );
  const plain = descriptorOf(MEDIA_TYPE.imageIndex, bytes);
  await repository.push(plain, bytesSource(bytes));
  await repository.tag(plain, 'plain');
  await expect(addToIndex(box.kit, { index: parseReference('m:plain'), modelkit: parseReference('m:a') })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
  });
});
