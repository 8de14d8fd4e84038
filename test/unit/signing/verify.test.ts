import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { KitEvent } from '../../../src/events.ts';
import { createKit, findSignatures, type Kit, openKeyVerifier, parseLocation, verify } from '../../../src/index.ts';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { referrersTag } from '../../../src/oci/referrers-tag.ts';
import type { RegistryOptions } from '../../support/registry.ts';
import { connect } from '../../support/registry-client.ts';
import { attachBundle, attachLegacy, bundle, makeSigner, pushManifest, SIGNATURE, simplePayload, statement } from './sample-signatures.ts';

const signer = makeSigner();

async function setUp(options: RegistryOptions = {}) {
  const home = await mkdtemp(join(tmpdir(), 'ocikit-verify-'));
  const kit: Kit = createKit({ home, env: { HOME: home } });
  onTestFinished(async () => {
    await kit.close();
    await rm(home, { recursive: true });
  });
  const key = join(home, 'signer.pub');
  await writeFile(key, signer.pem);
  const verifier = await openKeyVerifier(key);
  const { registry, target } = await connect(options);
  const subject = await pushManifest(target, { annotations: { name: 'model' } });
  await target.tag(subject, 'v1');
  const location = parseLocation(`${registry.host}/team/model:v1`);
  const listReferrers = (...manifests: Descriptor[]) => {
    const body = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, manifests });
    registry.behaviour.faults.push({ match: /referrers/, status: 200, body, headers: { 'Content-Type': MEDIA_TYPE.imageIndex } });
  };
  return { kit, registry, target, subject, args: { location, verifier }, listReferrers };
}

test('a signature that holds is enough: what is attached beyond the limit cannot take it away', async () => {
  const { kit, target, subject, args, listReferrers } = await setUp();
  const good = await attachBundle(target, subject, bundle(signer, statement(subject.digest)));
  const junk = Array.from({ length: 10_001 }, () => ({ ...subject, artifactType: 'application/spdx+json' }));
  const events: KitEvent[] = [];
  const onEvent = (event: KitEvent) => void events.push(event);
  listReferrers(good, ...junk);
  expect(await verify(kit, args, { onEvent })).toMatchObject({ verified: true, digest: subject.digest });
  expect(events).toEqual([expect.objectContaining({ type: 'warning', code: 'LIMIT_EXCEEDED' })]);
  listReferrers(...junk, good);
  await expect(verify(kit, args)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
});

test('a bundle by another key does not hide the older signature', async () => {
  const { kit, target, subject, args } = await setUp();
  const payload = simplePayload(subject.digest);
  await attachBundle(target, subject, bundle(makeSigner(), statement(subject.digest)));
  await attachLegacy(target, subject, [{ payload, annotations: { [SIGNATURE]: signer.sign(payload) } }]);
  const { signatures } = await verify(kit, args);
  expect(signatures.map(({ kind, accepted }) => [kind, accepted])).toEqual([
    ['bundle', false],
    ['legacy', true],
  ]);
});

test('a fallback tag that holds no index: said so, and the older signature is found', async () => {
  const { kit, target, subject, args } = await setUp({ behaviour: { referrers: false } });
  await attachBundle(target, subject, bundle(signer, statement(subject.digest)));
  // as `cosign copy` does
  await target.tag(subject, referrersTag(subject.digest));
  const events: KitEvent[] = [];
  const onEvent = (event: KitEvent) => void events.push(event);
  await expect(verify(kit, args, { onEvent })).rejects.toThrow('no signatures found');
  const message = expect.stringContaining(`lists what refers to ${subject.digest} holds \`${MEDIA_TYPE.imageManifest}\``) as string;
  expect(events).toEqual([{ type: 'warning', code: 'MANIFEST_INVALID', message }]);
  const payload = simplePayload(subject.digest);
  await attachLegacy(target, subject, [{ payload, annotations: { [SIGNATURE]: signer.sign(payload) } }]);
  expect(await verify(kit, args)).toMatchObject({ signatures: [{ kind: 'legacy', accepted: true }] });
});

test('the same refusal in store and registry is told once', async () => {
  const { kit, target, subject, args } = await setUp();
  const wrong = bundle(makeSigner(), statement(subject.digest));
  const referrer = await attachBundle(target, subject, wrong);
  const store = (await kit.store()).repository(target.name);
  await store.tag(await pushManifest(store, { annotations: { name: 'model' } }), 'v1');
  await attachBundle(store, subject, wrong);
  const { verified, signatures } = await findSignatures(kit, args);
  expect({ verified, digests: signatures.map(({ digest }) => digest) }).toEqual({ verified: false, digests: [referrer.digest] });
  await expect(verify(kit, args)).rejects.toMatchObject({
    code: 'SIGNATURE_INVALID',
    message: expect.stringContaining(referrer.digest) as string,
  });
});

test('a signature in the store needs no registry', async () => {
  const { kit, registry, target, subject, args } = await setUp();
  const store = (await kit.store()).repository(target.name);
  await store.tag(await pushManifest(store, { annotations: { name: 'model' } }), 'v1');
  await attachBundle(store, subject, bundle(signer, statement(subject.digest)));
  registry.clear();
  expect(await verify(kit, args)).toMatchObject({ verified: true });
  expect(registry.log()).toEqual([]);
});

test('a registry that fails is no verdict', async () => {
  const { kit, registry, args } = await setUp();
  registry.behaviour.faults.push({ match: /referrers/, status: 403 });
  await expect(verify(kit, args)).rejects.toMatchObject({ code: 'DENIED' });
});
