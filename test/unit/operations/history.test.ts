import { describe, expect, test } from 'vitest';
import { parseLocation, sign } from '../../../src/index.ts';
import { history, type HistoryArguments, type HistoryResult } from '../../../src/operations/history/history.ts';
import { openLayout } from '../../../src/targets/layout.ts';
import { makeKey } from '../signing/operations-setup.ts';
import { pushIndex } from '../targets/sample.ts';
import { pushRelease, releaseSetting, type ReleaseSetting, SHARED } from './history-setting.ts';
import { workspace } from './sandbox.ts';

async function show(setting: ReleaseSetting, tag = '', more: Partial<HistoryArguments> = {}): Promise<HistoryResult> {
  return await history(setting.kit, { location: parseLocation(`${setting.name}${tag}`), ...more }, setting.call);
}

const created = (time: string) => ({ annotations: { 'org.opencontainers.image.created': time } });

const tagsOf = ({ entries }: HistoryResult) => entries.map(({ tags }) => tags.join(' '));

describe('of a repository', () => {
  test('by version, with what changed in layers and Kitfile', async () => {
    const setting = await releaseSetting();
    const { target, releases } = setting;
    await target.tag(releases['1.2.0'].manifest, 'prod');
    const result = await show(setting);
    expect(result.order).toBe('version');
    expect(tagsOf(result)).toEqual(['1.2.0 prod', '1.1.0', '1.0.0']);
    const [newest, , oldest] = result.entries;
    expect(newest).toMatchObject({
      digest: releases['1.2.0'].manifest.digest,
      version: '1.2.0',
      description: 'ModelKit',
      size: SHARED.byteLength + 'weights 1.2.0'.length,
      changes: {
        added: [{ digest: releases['1.2.0'].layer.digest }],
        removed: [{ digest: releases['1.1.0'].layer.digest }],
        kept: 1,
        fields: [{ field: 'package.version', before: '"1.1.0"', after: '"1.2.0"' }],
        annotationsMatch: true,
      },
      problem: undefined,
    });
    expect(oldest?.changes).toBeUndefined();
  });

  test('an index is compared with an index, by its manifests, and with nothing else', async () => {
    const setting = await releaseSetting();
    const { target, releases } = setting;
    const [first, second] = [releases['1.0.0'].manifest, releases['1.1.0'].manifest];
    await target.tag(await pushIndex(target, [first]), '2.0.0');
    await target.tag(await pushIndex(target, [first, second]), '2.1.0');
    const [newest, older] = (await show(setting)).entries;
    expect(newest?.changes).toMatchObject({ unit: 'manifests', added: [{ digest: second.digest }], removed: [], kept: 1, fields: [] });
    expect(older?.changes).toEqual({ unit: undefined, added: [], removed: [], kept: 0, fields: [], annotationsMatch: true });
  });

  test('reads manifests and configs only, each once, however many tags there are', async () => {
    const setting = await releaseSetting();
    const { target, releases, registry } = setting;
    for (const tag of ['a', 'b', 'c']) await target.tag(releases['1.1.0'].manifest, tag);
    registry.clear();
    await show(setting);
    const blobs = registry.requests.filter(({ path }) => path.includes('/blobs/'));
    expect(blobs).toHaveLength(3);
    const layers = Object.values(releases).map(({ layer }) => layer.digest);
    expect(registry.requests.filter(({ path }) => layers.some((layer) => path.endsWith(layer)))).toEqual([]);
    expect(registry.requests.filter(({ method, path }) => method === 'GET' && path.includes('/manifests/'))).toHaveLength(3);
    expect(registry.requests.filter(({ path }) => path.includes('/referrers/'))).toHaveLength(3);
  });

  test('--limit reads no more than it needs', async () => {
    const setting = await releaseSetting();
    setting.registry.clear();
    const { entries } = await show(setting, '', { limit: 1 });
    expect(entries).toMatchObject([{ tags: ['1.2.0'], changes: { fields: [{ field: 'package.version' }] } }]);
    expect(setting.registry.requests.filter(({ path }) => path.includes('/blobs/'))).toHaveLength(2);
  });

  test('by creation: of the annotation, else of the config; what has none is last', async () => {
    const setting = await releaseSetting();
    const { target } = setting;
    await target.tag((await pushRelease(target, 'x', created('2026-01-02T00:00:00+02:00'))).manifest, 'x');
    await target.tag((await pushRelease(target, 'y', created('2026-01-01T23:00:00Z'))).manifest, 'y');
    await target.tag((await pushRelease(target, 'z', created('a while ago'))).manifest, 'z');
    await target.tag((await pushRelease(target, 'w', { created: '2025-01-01T00:00:00Z' })).manifest, 'w');
    const result = await show(setting, '', { order: 'created' });
    expect(tagsOf(result)).toEqual(['y', 'x', 'w', '1.0.0', '1.1.0', '1.2.0', 'z']);
    expect(tagsOf(await show(setting, ':w', { order: 'created' }))).toEqual(['w', '1.0.0', '1.1.0', '1.2.0', 'z']);
  });

  test('who signed: counted, and verified where there is a key', async () => {
    const setting = await releaseSetting();
    const { kit, name } = setting;
    const { signer, verifier } = makeKey();
    await sign(kit, { location: parseLocation(`${name}:1.2.0`), signer });
    await sign(kit, { location: parseLocation(`${name}:1.1.0`), signer: makeKey().signer, format: 'legacy' });
    const counted = await show(setting);
    expect(tagsOf(counted)).toEqual(['1.2.0', '1.1.0', '1.0.0']);
    expect(counted.entries.map(({ attachments }) => [attachments?.signature, attachments?.verified])).toEqual([
      [1, undefined],
      [1, undefined],
      [0, undefined],
    ]);
    const { entries } = await show(setting, '', { verifier });
    expect(entries.map(({ attachments }) => attachments)).toMatchObject([
      { verified: true, signers: ['test.pub'] },
      { verified: false, signers: [], reasons: [expect.stringContaining('is not by the key')] },
      { verified: false, signers: [], reasons: [] },
    ]);
  });

  test('an index counts by its manifests; a damaged artifact does not hide the others', async () => {
    const setting = await releaseSetting();
    const { target, releases, registry } = setting;
    await target.tag(await pushIndex(target, [releases['1.0.0'].manifest, releases['1.1.0'].manifest]), '2.0.0');
    await target.tag(await pushIndex(target, [releases['1.1.0'].manifest, releases['1.2.0'].manifest]), '2.1.0');
    const { digest } = releases['1.1.0'].manifest;
    registry.storage
      .find('team/model')
      ?.manifests.set(digest, { mediaType: 'application/vnd.oci.image.manifest.v1+json', bytes: Buffer.from('{}') });
    const { entries } = await show(setting);
    expect(entries.map(({ tags, problem }) => [tags[0], problem !== undefined])).toEqual([
      ['2.1.0', false],
      ['2.0.0', false],
      ['1.2.0', false],
      ['1.1.0', true],
      ['1.0.0', false],
    ]);
    expect(entries[0]).toMatchObject({ description: 'index of 2 artifacts', changes: { added: [{}], removed: [{}], kept: 1 } });
    expect(entries[2]?.changes).toBeUndefined();
  });

  test('without tags, or out of reach, it is an error', async () => {
    const setting = await releaseSetting();
    const { registry } = setting;
    registry.behaviour.faults.push({ match: /^GET .*\/blobs\//, status: 403 });
    await expect(show(setting)).rejects.toMatchObject({ code: 'DENIED' });
    registry.storage.find('team/model')?.tags.clear();
    await expect(show(setting)).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(history(setting.kit, { location: parseLocation('oci-archive:x.tar') })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('of a layout, and of local storage', async () => {
    const space = workspace();
    const { kit } = space;
    const layout = await openLayout(space.path('layout'), { create: true });
    const store = (await kit.store()).repository('m');
    for (const target of [layout, store]) {
      for (const version of ['1.0.0', '1.1.0']) await target.tag((await pushRelease(target, version)).manifest, version);
    }
    expect(tagsOf(await history(kit, { location: parseLocation(`oci:${space.path('layout')}`) }))).toEqual(['1.1.0', '1.0.0']);
    expect(tagsOf(await history(kit, { location: parseLocation('m') }))).toEqual(['1.1.0', '1.0.0']);
  });
});

describe('of a tag', () => {
  test('its moves, newest first, down to where it was new', async () => {
    const setting = await releaseSetting();
    const { promote, rollback, releases } = setting;
    await promote('1.0.0', 'prod');
    await promote('1.1.0', 'prod');
    await rollback('prod');
    const { order, entries } = await show(setting, ':prod');
    expect(order).toBe('moves');
    const { '1.0.0': old, '1.1.0': bad } = releases;
    expect(entries).toMatchObject([
      {
        digest: old.manifest.digest,
        move: { kind: 'rollback', previous: bad.manifest.digest, by: 'me', evidence: 'record', signed: false },
      },
      { digest: bad.manifest.digest, move: { kind: 'promotion', previous: old.manifest.digest, by: 'ci' } },
      { digest: old.manifest.digest, move: { kind: 'promotion', previous: undefined } },
    ]);
    expect(entries[0]?.changes?.fields).toEqual([{ field: 'package.version', before: '"1.1.0"', after: '"1.0.0"' }]);
    expect((await show(setting, ':prod', { limit: 1 })).entries).toHaveLength(1);
  });

  test('below the oldest move that is known: where the tag was', async () => {
    const setting = await releaseSetting();
    const { promote, target, releases, registry } = setting;
    await target.tag(releases['1.0.0'].manifest, 'prod');
    await promote('1.1.0', 'prod');
    registry.storage.find('team/model')?.manifests.delete(releases['1.0.0'].manifest.digest);
    const { entries } = await show(setting, ':prod');
    expect(entries).toMatchObject([
      { digest: releases['1.1.0'].manifest.digest, changes: undefined },
      { digest: releases['1.0.0'].manifest.digest, problem: expect.stringContaining('not found') as string },
    ]);
  });

  test('without known moves: the versions up to it', async () => {
    const setting = await releaseSetting();
    const result = await show(setting, ':1.1.0');
    expect(result.order).toBe('version');
    expect(tagsOf(result)).toEqual(['1.1.0', '1.0.0']);
    await expect(show(setting, ':nada')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });
});
