import { describe, expect, test } from 'vitest';
import type { KitEvent } from '../../../src/events.ts';
import { attest, download, findAttestations, findSignatures, sign, verifyAttestation } from '../../../src/index.ts';
import { legacyTag } from '../../../src/signing/legacy-tag.ts';
import { makeKey, setUpSigning } from './operations-setup.ts';
import { attachBundle, attachLegacy, bundle, makeSigner, pushBlob, pushManifest, SIGNATURE, statement } from './sample-signatures.ts';

const PROVENANCE = { text: '{"buildDefinition": {"n": 12345678901234567890}}', file: 'p.json' };
const TYPE = 'https://slsa.dev/provenance/v1';
const kinds = (reports: readonly { kind: string; accepted: boolean }[]) => reports.filter((one) => one.accepted).map(({ kind }) => kind);

describe('an attestation', () => {
  test('is found in both formats, by its type, and says what was attested', async () => {
    const { kit, subject, location, signer, verifier } = await setUpSigning({ behaviour: { referrers: false } });
    const made = await attest(kit, { location, signer, type: 'slsaprovenance1', predicate: PROVENANCE });
    expect(made).toMatchObject({ digest: subject.digest, predicateType: TYPE, tag: legacyTag(subject.digest, 'att') });
    const { attestations } = await verifyAttestation(kit, { location, verifier, type: TYPE });
    expect(kinds(attestations)).toEqual(['bundle', 'legacy']);
    expect(attestations[0]).toMatchObject({ signer: { type: 'key' }, statement: { predicateType: TYPE } });
    await expect(verifyAttestation(kit, { location, verifier, type: 'cyclonedx' })).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
      message: expect.stringContaining(`it attests ${TYPE}, not https://cyclonedx.org/bom`) as string,
    });
    await expect(verifyAttestation(kit, { location, verifier: makeKey().verifier, type: TYPE })).rejects.toThrowError(/not by the key/);
  });

  test('carries the predicate to the letter', async () => {
    const { kit, location, signer } = await setUpSigning();
    const made = await attest(kit, { location, signer, type: TYPE, predicate: PROVENANCE, upload: false });
    const { dsseEnvelope } = JSON.parse(made.bundle) as { dsseEnvelope: { payload: string } };
    expect(Buffer.from(dsseEnvelope.payload, 'base64').toString()).toContain(`"predicate":${PROVENANCE.text}}`);
  });

  test('is no signature, and a signature is no attestation', async () => {
    const { kit, location, signer, verifier } = await setUpSigning();
    await attest(kit, { location, signer, type: 'custom', predicate: { text: 'fine', file: 'x' } });
    expect(await findSignatures(kit, { location, verifier })).toMatchObject({
      verified: false,
      signatures: [{ reason: 'it is an attestation (https://cosign.sigstore.dev/attestation/v1), not a signature' }],
    });
    await sign(kit, { location, signer });
    const type = 'https://sigstore.dev/cosign/sign/v2';
    const { attestations } = await findAttestations(kit, { location, verifier, type });
    expect(attestations.map(({ reason }) => reason)).toContain(`it is a signature, not an attestation (${type})`);
  });

  test('about another manifest, copied here, is not accepted', async () => {
    const { kit, target, subject, location } = await setUpSigning();
    const key = makeSigner();
    const other = await pushManifest(target, { annotations: { name: 'other' } });
    await attachBundle(target, subject, bundle(key, statement(other.digest, { predicateType: TYPE })));
    await expect(verifyAttestation(kit, { location, verifier: key.verifier, type: TYPE })).rejects.toThrowError(
      `it signs ${other.digest}, not ${subject.digest}`,
    );
  });

  test('a claim of the right type in a payload that was changed', async () => {
    const { kit, target, subject, location } = await setUpSigning();
    const key = makeSigner();
    const forged = Buffer.from(JSON.stringify(statement(subject.digest, { predicateType: TYPE }))).toString('base64');
    await attachBundle(
      target,
      subject,
      bundle(key, statement(subject.digest, { predicateType: 'https://x.example/y' }), (made) => ({
        ...made,
        dsseEnvelope: { ...(made['dsseEnvelope'] as object), payload: forged },
      })),
    );
    await expect(verifyAttestation(kit, { location, verifier: key.verifier, type: TYPE })).rejects.toThrowError(/changed after signing/);
  });

  test('none at all', async () => {
    const { kit, location, verifier } = await setUpSigning();
    await expect(verifyAttestation(kit, { location, verifier, type: TYPE })).rejects.toThrowError(/no attestations found/);
  });

  test.each([
    ['slsa', PROVENANCE, /unknown predicate type `slsa`/],
    ['cyclonedx', { text: 'x', file: 'sbom.json' }, /sbom\.json is not JSON/],
  ])('wrong use: %s', async (type, predicate, why) => {
    const { kit, registry, location, signer } = await setUpSigning();
    registry.clear();
    await expect(attest(kit, { location, signer, type, predicate })).rejects.toThrowError(why);
    expect(registry.log()).toEqual([]);
  });
});

describe('download', () => {
  test('signatures and attestations apart, older ones too, damaged ones as warnings', async () => {
    const { kit, target, subject, location, signer } = await setUpSigning();
    const { signed } = await sign(kit, { location, signer });
    const made = await attest(kit, { location, signer, type: TYPE, predicate: PROVENANCE });
    const broken = await attachBundle(target, subject, Buffer.from('{}'));
    const events: KitEvent[] = [];
    const onEvent = (event: KitEvent) => void events.push(event);
    const signatures = await download(kit, { location, what: 'signature' }, { onEvent });
    expect(signatures.found.map(({ content }) => Object.keys(JSON.parse(content) as object)[0])).toEqual(['mediaType', 'Base64Signature']);
    expect(signatures.found[0]?.content).toBe(signed[0]?.bundle);
    expect(events).toEqual([
      expect.objectContaining({ type: 'warning', message: expect.stringContaining(broken.digest) as string }) as KitEvent,
    ]);
    const attestations = await download(kit, { location, what: 'attestation', type: 'slsaprovenance1' });
    expect(attestations.found.map(({ content, type }) => [Object.keys(JSON.parse(content) as object)[0], type])).toEqual([
      ['mediaType', TYPE],
      ['payload', TYPE],
    ]);
    expect(attestations.found[0]?.content).toBe(made.bundle);
    await expect(download(kit, { location, what: 'attestation', type: 'vuln' })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    await expect(download(kit, { location, what: 'sbom' })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test('an SBOM: as a referrer, under the older tag, in an attestation', async () => {
    const { kit, target, subject, location, signer } = await setUpSigning();
    const sbomOf = async () => (await download(kit, { location, what: 'sbom' })).found.map(({ content }) => content);
    await attest(kit, { location, signer, type: 'cyclonedx', predicate: { text: '{"in":"attestation"}', file: 'x' }, format: 'bundle' });
    expect(await sbomOf()).toEqual(['{"in":"attestation"}']);
    const text = '{\n  "in": "tag"\n}\n';
    const tagged = await pushManifest(target, { layers: [await pushBlob(target, 'text/spdx+json', Buffer.from(text))] });
    await target.tag(tagged, legacyTag(subject.digest, 'sbom') ?? '');
    expect(await sbomOf()).toEqual([text]);
    const layers = [await pushBlob(target, 'application/vnd.cyclonedx+json', Buffer.from('{"in":"referrer"}'))];
    await pushManifest(target, { artifactType: 'application/vnd.cyclonedx+json', layers, subject });
    expect(await sbomOf()).toEqual(['{"in":"referrer"}', text]);
  });

  test('what lies in the registry of a stored artifact', async () => {
    const { kit, target, location } = await setUpSigning();
    const store = (await kit.store()).repository(target.name);
    await store.tag(await pushManifest(store, { annotations: { name: 'model' } }), 'v1');
    const subject = await target.resolve('v1');
    await attachLegacy(target, subject, [{ payload: Buffer.from('payload'), annotations: { [SIGNATURE]: 'c2ln' } }]);
    const { found } = await download(kit, { location, what: 'signature' });
    expect(found.map(({ content }) => JSON.parse(content) as unknown)).toMatchObject([
      { Base64Signature: 'c2ln', Payload: Buffer.from('payload').toString('base64'), Cert: null },
    ]);
  });
});
