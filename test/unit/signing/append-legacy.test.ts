import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../src/oci/digest.ts';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import { parseManifest } from '../../../src/oci/manifest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { appendLegacy } from '../../../src/signing/append-legacy.ts';
import { fetchMetadata } from '../../../src/targets/manifest-bytes.ts';
import { MemoryTarget } from '../../../src/targets/memory.ts';
import type { Target } from '../../../src/targets/types.ts';
import { connect } from '../../support/registry-client.ts';
import { pushBlob, pushManifest, SIGNATURE, simplePayload } from './sample-signatures.ts';

const TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
const layer = (subject: Descriptor, by: string) => ({
  mediaType: TYPE,
  bytes: simplePayload(subject.digest, { by }),
  annotations: { [SIGNATURE]: Buffer.from(by).toString('base64') },
});

async function listed(target: Target, tag: string) {
  const descriptor = await target.resolve(tag);
  return parseManifest(await fetchMetadata(target, descriptor), tag);
}

const signaturesIn = async (target: Target, tag: string) =>
  (await listed(target, tag)).layers.map(({ annotations }) => Buffer.from(annotations?.[SIGNATURE] ?? '', 'base64').toString());

async function memory() {
  const target = new MemoryTarget();
  return { target, subject: await pushManifest(target, { annotations: { name: 'model' } }) };
}

test('the first signature makes the manifest that cosign makes', async () => {
  const { target, subject } = await memory();
  const tag = await appendLegacy(target, subject, 'sig', layer(subject, 'a'));
  expect(tag).toBe(`${subject.digest.replace(':', '-')}.sig`);
  const { config, layers, ...rest } = await listed(target, tag);
  expect(rest).toEqual({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest });
  expect(config.mediaType).toBe(MEDIA_TYPE.imageConfig);
  expect(layers).toMatchObject([{ mediaType: TYPE, annotations: { [SIGNATURE]: 'YQ==' } }]);
  const image = JSON.parse((await fetchMetadata(target, config)).toString()) as { rootfs: { diff_ids: string[] } };
  expect(image.rootfs.diff_ids).toEqual(layers.map(({ digest }) => digest));
});

test('further ones are added, the same one is not added twice, and what others set stays', async () => {
  const { target, subject } = await memory();
  const foreign = await pushBlob(target, 'application/x.other', Buffer.from('other'));
  await target.tag(
    await pushManifest(target, { layers: [foreign], annotations: { by: 'others' } }),
    `${subject.digest.replace(':', '-')}.sig`,
  );
  const tag = await appendLegacy(target, subject, 'sig', layer(subject, 'a'));
  await appendLegacy(target, subject, 'sig', layer(subject, 'b'));
  await appendLegacy(target, subject, 'sig', layer(subject, 'a'));
  expect(await signaturesIn(target, tag)).toEqual(['', 'a', 'b']);
  const manifest = await listed(target, tag);
  expect(manifest.annotations).toEqual({ by: 'others' });
  expect(manifest.layers[0]?.digest).toBe(foreign.digest);
});

test.each([
  ['with the referrers API', true],
  ['without', false],
])('concurrent signers do not lose each other: a registry %s', async (_, referrers) => {
  const { target } = await connect({ behaviour: { referrers } });
  const model = await pushManifest(target, { annotations: { name: 'model' } });
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const tags = await Promise.all(names.map(async (by) => await appendLegacy(target, model, 'sig', layer(model, by))));
  expect((await signaturesIn(target, tags[0] ?? '')).toSorted()).toEqual(names);
});

test('one that another writer takes away after it was there is added again', async () => {
  const { target, subject } = await memory();
  const tag = `${subject.digest.replace(':', '-')}.sig`;
  const rival = await pushManifest(target, { annotations: { by: 'a rival who had read an empty list' } });
  let tagged = 0;
  const rivalled: Target = {
    name: target.name,
    can: target.can,
    has: async (blob) => await target.has(blob),
    fetch: async (...args) => await target.fetch(...args),
    push: async (...args) => {
      await target.push(...args);
    },
    resolve: async (reference) => {
      // at the second look after the first writing
      if (tagged === 1 && (looks += 1) === 2) await target.tag(rival, tag);
      return await target.resolve(reference);
    },
    tag: async (manifest, reference) => {
      tagged += 1;
      await target.tag(manifest, reference);
    },
  };
  let looks = 0;
  await appendLegacy(rivalled, subject, 'sig', layer(subject, 'a'));
  expect(tagged).toBe(2);
  expect(await signaturesIn(target, tag)).toEqual(['a']);
  expect((await listed(target, tag)).annotations).toEqual({ by: 'a rival who had read an empty list' });
});

describe('something else under the tag is not overwritten', () => {
  test.each([
    ['an index', MEDIA_TYPE.imageIndex, '{"schemaVersion":2,"manifests":[]}'],
    ['no manifest', MEDIA_TYPE.imageManifest, '{"schemaVersion":2}'],
  ])('%s', async (_, mediaType, text) => {
    const { target, subject } = await memory();
    const tag = `${subject.digest.replace(':', '-')}.sig`;
    const other = await pushBlob(target, mediaType, Buffer.from(text));
    await target.tag(other, tag);
    await expect(appendLegacy(target, subject, 'sig', layer(subject, 'a'))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining(`${tag} holds no list of signatures and is not overwritten`) as string,
    });
    expect((await target.resolve(tag)).digest).toBe(other.digest);
  });

  test('a digest that has no such tag', async () => {
    const { target, subject } = await memory();
    const other = { ...subject, digest: digestOf(Buffer.from('x'), 'sha512') };
    await expect(appendLegacy(target, other, 'sig', layer(subject, 'a'))).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});
