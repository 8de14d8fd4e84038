import { describe, expect, test } from 'vitest';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { REPOSITORY, TYPE, made, refer, entryOf, listed, put, other, tagRequests, type Made } from './referrers-sample.ts';

const find = async ({ target, subject }: Made, artifactType: string) =>
  (await Array.fromAsync(target.can.referrers?.(subject, { artifactType }) ?? [])).map(({ digest }) => digest);

describe('deleting a referrer', () => {
  test('takes it out of the index', async () => {
    const to = await made();
    const [first, second] = [await refer(to, 1), await refer(to, 2)];
    await to.target.can.remove?.(first);
    expect(listed(to)?.manifests).toEqual([entryOf(second, 2)]);
    expect(await to.target.has(first)).toBe(false);
  });

  test('deletes the index with its last entry', async () => {
    const to = await made();
    const blob = await refer(to, 1);
    await to.target.can.remove?.(blob);
    expect(to.registry.storage.find(REPOSITORY)?.tags.has(to.tag)).toBe(false);
    expect(await Array.fromAsync(to.target.can.referrers?.(to.subject) ?? [])).toEqual([]);
  });

  test.each([403, 405])('leaves an empty index where that cannot be deleted: %i', async (status) => {
    const to = await made();
    const blob = await refer(to, 1);
    to.registry.behaviour.faults.push({ match: /^DELETE/, skip: 1, status });
    await to.target.can.remove?.(blob);
    expect(listed(to)?.manifests).toEqual([]);
  });

  test('leaves what another writer has added meanwhile', async () => {
    const to = await made();
    const blob = await refer(to, 1);
    to.onPause = (count) => void (count === 2 && put(to, [entryOf(blob, 1), other(to, 1)]));
    await to.target.can.remove?.(blob);
    expect(listed(to)?.manifests).toEqual([other(to, 1)]);
  });

  test('does not touch an index without it, nor something else', async () => {
    const to = await made({ referrers: true });
    const [first, second] = [await refer(to, 1), await refer(to, 2)];
    put(to, [other(to, 1), other(to, 1)]);
    to.registry.clear();
    await to.target.can.remove?.(first);
    put(to, [], {}, MEDIA_TYPE.dockerManifestList);
    await to.target.can.remove?.(second);
    expect(tagRequests(to)).toEqual(['GET 200', 'GET 200']);
  });

  test('that the registry does not allow leaves the index', async () => {
    const to = await made({ referrers: false, deletes: 'none' });
    const blob = await refer(to, 1);
    await expect(to.target.can.remove?.(blob)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(listed(to)?.manifests).toEqual([entryOf(blob, 1)]);
  });

  test('works where its content cannot be read', async () => {
    const to = await made();
    const blob = to.registry.addManifest(REPOSITORY, Buffer.from('damaged'), 'x');
    await to.target.can.remove?.(blob);
    expect(await to.target.has(blob)).toBe(false);
  });
});

describe('referrers of one type', () => {
  test('are asked of the registry', async () => {
    const to = await made({ referrers: true });
    const [, second] = [await refer(to, 1), await refer(to, 2, { artifactType: 'application/a+b&c' })];
    to.registry.clear();
    expect(await find(to, 'application/a+b&c')).toEqual([second.digest]);
    expect(to.registry.requests[0]?.path).toMatch(/\?artifactType=application%2Fa%2Bb%26c$/);
  });

  test('are sifted here where the registry does not', async () => {
    const to = await made({ referrers: true });
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageIndex,
      manifests: [other(to, 1), { ...other(to, 2), artifactType: TYPE }],
    });
    to.registry.behaviour.faults.push({ match: /referrers/, status: 200, body, headers: { 'Content-Type': MEDIA_TYPE.imageIndex } });
    expect(await find(to, TYPE)).toEqual([other(to, 2).digest]);
  });

  test('are found under the fallback tag', async () => {
    const to = await made();
    const [first] = [await refer(to, 1), await refer(to, 2, { artifactType: 'application/other' })];
    expect(await find(to, TYPE)).toEqual([first.digest]);
  });
});
