import { expect, test } from 'vitest';
import type { Digest } from '../../../src/oci/digest.ts';
import { parseLocation } from '../../../src/index.ts';
import { openRepository } from '../../../src/operations/history/place.ts';
import { compareVersions, versionBefore, versionOf } from '../../../src/operations/history/versions.ts';
import { pushRelease, releaseSetting } from './history-setting.ts';

test.each([
  ['1.2.3', '1.2.3'],
  ['v1.2.3', '1.2.3'],
  ['v1.2', '1.2.0'],
  ['1.2-rc.1', '1.2.0-rc.1'],
  ['1.2.3-rc.1_build.5', '1.2.3-rc.1'],
  ['1.2.3_build.5', '1.2.3'],
  ['7', undefined],
  ['20260101', undefined],
  ['2026.01.02', undefined],
  ['latest', undefined],
  ['1.2.3.4', undefined],
  ['99999999999999999999.0.0', undefined],
  ['v1.2.x', undefined],
])('the tag %s is version %s', (tag, version) => {
  expect(versionOf(tag)?.version).toBe(version);
});

test('newest first, as numbers; a release after its candidates', () => {
  const tags = ['1.9.0', '1.10.0', '1.10.0-rc.2', '1.10.0-rc.10', '0.9', '1.10.0_2', '1.10.0_10'];
  const versions = tags.flatMap((tag) => {
    const version = versionOf(tag);
    return version === undefined ? [] : [{ tag, version }];
  });
  expect(versions.toSorted(compareVersions).map(({ tag }) => tag)).toEqual([
    '1.10.0_10',
    '1.10.0_2',
    '1.10.0',
    '1.10.0-rc.10',
    '1.10.0-rc.2',
    '1.9.0',
    '0.9',
  ]);
});

test('the release before one: not a candidate, not another tag of the same', async () => {
  const { kit, name, target, releases } = await releaseSetting();
  await target.tag((await pushRelease(target, 'rc')).manifest, '1.2.0-rc.1');
  await target.tag(releases['1.2.0'].manifest, '1.1.5');
  await target.tag(releases['1.2.0'].manifest, '1.2');
  const place = await openRepository(kit, parseLocation(name), false);
  const before = async (digest: Digest, steps: number) => (await versionBefore(place, digest, steps, {}))?.tag;
  expect(await before(releases['1.2.0'].manifest.digest, 1)).toBe('1.1.0');
  expect(await before(releases['1.2.0'].manifest.digest, 2)).toBe('1.0.0');
  expect(await before(releases['1.2.0'].manifest.digest, 3)).toBeUndefined();
  expect(await before((await target.resolve('1.2.0-rc.1')).digest, 1)).toBe('1.1.5');
  expect(await before((await pushRelease(target, 'untagged')).manifest.digest, 1)).toBeUndefined();
});
