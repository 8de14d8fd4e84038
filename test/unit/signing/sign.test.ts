import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { KitEvent } from '../../../src/events.ts';
import { findSignatures, parseLocation, sign, verify } from '../../../src/index.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { parseManifest } from '../../../src/oci/manifest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { referrersTag } from '../../../src/oci/referrers-tag.ts';
import { openArchive } from '../../../src/targets/archive.ts';
import { openLayout } from '../../../src/targets/layout.ts';
import { fetchMetadata } from '../../../src/targets/manifest-bytes.ts';
import { makeKey, setUpSigning } from './operations-setup.ts';
import { BUNDLE_TYPE, pushBlob, pushManifest } from './sample-signatures.ts';

const accepted = (signatures: readonly { kind: string; accepted: boolean }[]) =>
  signatures.filter((one) => one.accepted).map(({ kind }) => kind);

describe('in a registry', () => {
  test.each([
    ['with the referrers API', true],
    ['without', false],
  ])('%s: both formats, each found again', async (_, referrers) => {
    const { kit, target, subject, location, signer, verifier } = await setUpSigning({ behaviour: { referrers } });
    const result = await sign(kit, { location, signer, annotations: { stage: 'prod' } });
    expect(result).toMatchObject({ digest: subject.digest, signed: [{ digest: subject.digest }] });
    const [one] = result.signed;
    expect(one?.tag).toBe(`${subject.digest.replace(':', '-')}.sig`);
    const manifest = parseManifest(await fetchMetadata(target, await target.resolve(one?.referrer ?? '')), 'referrer');
    expect(manifest).toMatchObject({
      artifactType: BUNDLE_TYPE,
      config: { mediaType: MEDIA_TYPE.emptyJson },
      layers: [{ mediaType: BUNDLE_TYPE }],
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
      annotations: {
        'dev.sigstore.bundle.content': 'dsse-envelope',
        'dev.sigstore.bundle.predicateType': 'https://sigstore.dev/cosign/sign/v1',
      },
    });
    const [layer] = manifest.layers;
    expect((await fetchMetadata(target, layer ?? subject)).toString()).toBe(one?.bundle);
    expect(accepted((await findSignatures(kit, { location, verifier })).signatures)).toEqual(['bundle', 'legacy']);
    await expect(verify(kit, { location, verifier, annotations: { stage: 'prod' } })).resolves.toMatchObject({ verified: true });
    await expect(verify(kit, { location, verifier, annotations: { stage: 'test' } })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    await expect(verify(kit, { location, verifier: makeKey().verifier })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  test('what is signed is as cosign writes it', async () => {
    const { kit, subject, location, signer } = await setUpSigning();
    const { signed } = await sign(kit, { location, signer });
    const bundle = JSON.parse(signed[0]?.bundle ?? '') as { dsseEnvelope: { payload: string; signatures: unknown[] } };
    expect(Object.keys(bundle)).toEqual(['mediaType', 'verificationMaterial', 'dsseEnvelope']);
    expect(Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString()).toBe(
      `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"${subject.digest.slice(7)}"},"annotations":{}}],` +
        '"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}',
    );
    expect(bundle.dsseEnvelope.signatures).toEqual([{ sig: expect.any(String) as string }]);
  });

  test.each([
    ['bundle', ['bundle']],
    ['legacy', ['legacy']],
  ] as const)('the format %s alone', async (format, kinds) => {
    const { kit, location, signer, verifier } = await setUpSigning();
    await sign(kit, { location, signer, format });
    expect(accepted((await findSignatures(kit, { location, verifier })).signatures)).toEqual(kinds);
  });

  test('signing again adds, by another key too', async () => {
    const { kit, location, signer, verifier } = await setUpSigning({ behaviour: { referrers: false } });
    const other = makeKey();
    await sign(kit, { location, signer });
    await sign(kit, { location, signer: other.signer });
    await sign(kit, { location, signer });
    expect(accepted((await findSignatures(kit, { location, verifier })).signatures)).toEqual(['bundle', 'bundle', 'legacy', 'legacy']);
    expect(accepted((await findSignatures(kit, { location, verifier: other.verifier })).signatures)).toEqual(['bundle', 'legacy']);
  });

  test('without upload nothing is written, and the bundle verifies from a file', async () => {
    const { kit, home, registry, location, signer, verifier } = await setUpSigning();
    registry.clear();
    const { signed } = await sign(kit, { location, signer, upload: false });
    expect(registry.log().filter((line) => !/^(GET|HEAD) /.test(line))).toEqual([]);
    const bundle = join(home, 'model.sigstore.json');
    await writeFile(bundle, signed[0]?.bundle ?? '');
    registry.clear();
    expect(await verify(kit, { location, verifier, bundle })).toMatchObject({
      verified: true,
      signatures: [{ kind: 'bundle', accepted: true }],
    });
    expect(registry.log().filter((line) => line.includes('referrers') || line.includes('.sig'))).toEqual([]);
    await expect(verify(kit, { location, verifier })).rejects.toThrowError(/no signatures found/);
    await expect(verify(kit, { location, verifier, bundle: join(home, 'missing') })).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });

  test('an index: itself, and with recursive all below it', async () => {
    const { kit, target, subject, registry, signer, verifier } = await setUpSigning();
    const inner = await pushBlob(
      target,
      MEDIA_TYPE.imageIndex,
      Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [subject] })),
    );
    const index = await pushBlob(
      target,
      MEDIA_TYPE.imageIndex,
      Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [inner, subject] })),
    );
    await target.tag(index, 'all');
    const location = parseLocation(`${registry.host}/team/model:all`);
    expect((await sign(kit, { location, signer, format: 'bundle' })).signed.map(({ digest }) => digest)).toEqual([index.digest]);
    const { signed } = await sign(kit, { location, signer, format: 'bundle', recursive: true });
    expect(signed.map(({ digest }) => digest)).toEqual([index.digest, inner.digest, subject.digest]);
    await verify(kit, { location: parseLocation(`${registry.host}/team/model@${subject.digest}`), verifier });
  });

  test('a manifest that is not what its digest says is not signed', async () => {
    const { kit, registry, location, signer } = await setUpSigning();
    registry.behaviour.faults.push({ match: /GET .*manifests\/sha256/, status: 200, body: '{"schemaVersion":2}' });
    await expect(sign(kit, { location, signer })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test('a digest of another algorithm has no older tag', async () => {
    const { kit, target, registry, signer, verifier } = await setUpSigning();
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [] }));
    const digest = digestOf(bytes, 'sha512');
    await target.push(
      { mediaType: MEDIA_TYPE.imageIndex, digest, size: bytes.byteLength },
      { size: bytes.byteLength, open: () => once(bytes) },
    );
    const location = parseLocation(`${registry.host}/team/model@${digest}`);
    const { signed } = await sign(kit, { location, signer });
    expect(signed).toMatchObject([{ digest, referrer: expect.stringMatching(/^sha256:/) as string }]);
    expect(signed[0]?.tag).toBeUndefined();
    await verify(kit, { location, verifier });
    await expect(sign(kit, { location, signer, format: 'legacy' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('something else under the older tag: the bundle is in place, and the error says so', async () => {
    const { kit, target, subject, location, signer, verifier } = await setUpSigning();
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests: [] }));
    await target.tag(await pushBlob(target, MEDIA_TYPE.imageIndex, index), `${subject.digest.replace(':', '-')}.sig`);
    await expect(sign(kit, { location, signer })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('is not overwritten') as string,
      hint: expect.stringContaining('the sigstore bundle is in place') as string,
    });
    await verify(kit, { location, verifier });
  });

  test('a fallback tag that holds no index is not overwritten', async () => {
    const { kit, target, subject, location, signer } = await setUpSigning({ behaviour: { referrers: false } });
    await target.tag(subject, referrersTag(subject.digest));
    await expect(sign(kit, { location, signer })).rejects.toThrowError(/sha256-/);
    expect((await target.resolve(referrersTag(subject.digest))).digest).toBe(subject.digest);
  });
});

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

describe('which one is meant', () => {
  test('a name with a registry is that in the registry; another under the same tag here is a warning', async () => {
    const { kit, target, subject, location, signer } = await setUpSigning();
    const store = (await kit.store()).repository(target.name);
    const own = await pushManifest(store, { annotations: { name: 'packed again' } });
    await store.tag(own, 'v1');
    const events: KitEvent[] = [];
    const onEvent = (event: KitEvent) => void events.push(event);
    expect(await sign(kit, { location, signer }, { onEvent })).toMatchObject({ digest: subject.digest });
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'warning', code: 'OTHER_IN_STORE', message: expect.stringContaining(own.digest) as string }),
    );
    expect(await sign(kit, { location, signer, local: true })).toMatchObject({ digest: own.digest });
  });

  test('one that was not pushed yet', async () => {
    const { kit, target, registry, signer } = await setUpSigning();
    const store = (await kit.store()).repository(target.name);
    await store.tag(await pushManifest(store, { annotations: { name: 'new' } }), 'v2');
    const location = parseLocation(`${registry.host}/team/model:v2`);
    await expect(sign(kit, { location, signer })).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      hint: expect.stringMatching(/kit push .*:v2.*--local/) as string,
    });
  });

  test('several tags, and an archive', async () => {
    const { kit, home, signer } = await setUpSigning();
    await expect(sign(kit, { location: parseLocation('localhost:5000/m:a,b'), signer })).rejects.toMatchObject({
      code: 'REFERENCE_INVALID',
    });
    const file = join(home, 'a.tar');
    const archive = await openArchive(file, { create: true });
    await pushManifest(archive, {});
    await archive.commit();
    await expect(sign(kit, { location: parseLocation(`oci-archive:${file}`), signer })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});

describe('without a registry', () => {
  test('in local storage', async () => {
    const { kit, signer, verifier } = await setUpSigning();
    const store = (await kit.store()).repository('mymodel');
    const subject = await pushManifest(store, { annotations: { name: 'local' } });
    await store.tag(subject, 'v1');
    const location = parseLocation('mymodel:v1');
    expect(await sign(kit, { location, signer })).toMatchObject({ digest: subject.digest });
    expect(accepted((await verify(kit, { location, verifier })).signatures)).toEqual(['bundle', 'legacy']);
    // signatures live as long as what they are about
    await (await kit.store()).collectGarbage();
    expect(accepted((await verify(kit, { location, verifier })).signatures)).toEqual(['bundle', 'legacy']);
  });

  test('in an image layout', async () => {
    const { kit, home, signer, verifier } = await setUpSigning();
    const directory = join(home, 'layout');
    const layout = await openLayout(directory, { create: true });
    await layout.tag(await pushManifest(layout, { annotations: { name: 'in a layout' } }), 'v1');
    await sign(kit, { location: parseLocation(`oci:${directory}:v1`), signer });
    // the artifact is still the only one
    await sign(kit, { location: parseLocation(`oci:${directory}`), signer });
    expect((await layout.entries()).filter(({ annotations }) => annotations === undefined)).toHaveLength(2);
    expect(accepted((await verify(kit, { location: parseLocation(`oci:${directory}`), verifier })).signatures)).toHaveLength(4);
  });

  test('a layout that is not there is not made', async () => {
    const { kit, home, signer } = await setUpSigning();
    await expect(sign(kit, { location: parseLocation(`oci:${join(home, 'missing')}:v1`), signer })).rejects.toMatchObject({
      code: 'PATH_NOT_FOUND',
    });
  });
});
