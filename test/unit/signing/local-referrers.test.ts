import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { referrersTag } from '../../../src/oci/referrers-tag.ts';
import { openLayout } from '../../../src/targets/layout.ts';
import { openStore } from '../../../src/targets/store.ts';
import type { Target } from '../../../src/targets/types.ts';
import { pushBlob, pushManifest } from './sample-signatures.ts';

const GOLDEN = join(import.meta.dirname, '../../../fixtures/golden');

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ocikit-referrers-'));
  onTestFinished(async () => {
    await rm(directory, { recursive: true });
  });
  return directory;
}

const list = async (target: Target, subject: Descriptor) => await Array.fromAsync(target.can.referrers?.(subject) ?? []);

describe('referrers that only the index under the fallback tag lists', () => {
  test('in a layout of oras', async () => {
    const target = await openLayout(join(GOLDEN, 'oras-attach-fallback-tag'));
    const tags = await Array.fromAsync(target.can.tags?.() ?? []);
    const fallback = tags.find((tag) => tag.startsWith('sha256-')) ?? '';
    const subject = await target.resolve(`sha256:${fallback.slice('sha256-'.length)}`);
    expect((await list(target, subject)).map(({ artifactType }) => artifactType)).toEqual(['application/vnd.cyclonedx+json']);
  });

  test.each<[string, () => Promise<Target>]>([
    ['a layout', async () => await openLayout(await scratch(), { create: true })],
    ['the store', async () => (await openStore(await scratch())).repository('localhost:5000/team/model')],
  ])('in %s', async (_, open) => {
    const target = await open();
    const subject = await pushManifest(target, { annotations: { name: 'model' } });
    const other = await pushManifest(target, { annotations: { name: 'other' } });
    const referrer = await pushManifest(target, { artifactType: 'application/x.test', subject });
    // what it lists is believed only where the manifest says so itself
    const manifests = [referrer, other];
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests }));
    await target.tag(await pushBlob(target, MEDIA_TYPE.imageIndex, index), referrersTag(subject.digest));
    expect(await list(target, subject)).toEqual([{ ...referrer, artifactType: 'application/x.test' }]);
  });

  test('the artifact itself under that tag lists nothing', async () => {
    const target = await openLayout(await scratch(), { create: true });
    const subject = await pushManifest(target, {});
    await target.tag(subject, referrersTag(subject.digest));
    expect(await list(target, subject)).toEqual([]);
  });
});

test('a damaged referrer does not hide the others', async () => {
  const directory = await scratch();
  const target = await openLayout(directory, { create: true });
  const subject = await pushManifest(target, {});
  const damaged = await pushManifest(target, { subject, annotations: { number: '1' } });
  const sound = await pushManifest(target, { subject, annotations: { number: '2' } });
  await writeFile(join(directory, 'blobs/sha256', damaged.digest.slice('sha256:'.length)), 'x'.repeat(damaged.size));
  expect((await list(target, subject)).map(({ digest }) => digest)).toEqual([sound.digest]);
});

test('a digest without a repository has the referrers of every repository', async () => {
  const store = await openStore(await scratch());
  const repository = store.repository('team/model');
  const subject = await pushManifest(repository, {});
  const referrer = await pushManifest(repository, { subject });
  expect((await list(store.repository(''), subject)).map(({ digest }) => digest)).toEqual([referrer.digest]);
  expect(await list(store.repository('team/other'), subject)).toEqual([]);
});
