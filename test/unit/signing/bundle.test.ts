import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../src/oci/digest.ts';
import { checkSignature } from '../../../src/signing/check-signatures.ts';
import { preAuthEncoding } from '../../../src/signing/dsse.ts';
import { openKeyVerifier } from '../../../src/signing/key-verifier.ts';
import type { SignatureRequirement } from '../../../src/signing/requirement.ts';
import { bundle, makeSigner, statement } from './sample-signatures.ts';

const GOLDEN = join(import.meta.dirname, '../../../fixtures/golden');
const digest = digestOf(Buffer.from('the manifest'));
const otherDigest = digestOf(Buffer.from('another'));
const hex = digest.slice('sha256:'.length);
const signer = makeSigner();
const requirement: SignatureRequirement = { verifier: signer.verifier, digest, annotations: {} };
const reasonFor = async (bytes: Uint8Array, wanted: Partial<SignatureRequirement> = {}) => {
  const candidate = { kind: 'bundle', digest: digestOf(bytes), bytes, annotations: {} } as const;
  return (await checkSignature(candidate, { ...requirement, ...wanted })).reason;
};

const withEnvelope = (changes: Record<string, unknown>) => (made: Record<string, unknown>) => ({
  ...made,
  dsseEnvelope: { ...(made['dsseEnvelope'] as object), ...changes },
});

const withLogAndKeyId = (made: Record<string, unknown>) => {
  const envelope = made['dsseEnvelope'] as { signatures: { sig: string }[] };
  return {
    ...made,
    verificationMaterial: { publicKey: { hint: '' }, tlogEntries: [{ logIndex: '1' }] },
    dsseEnvelope: { ...envelope, signatures: [{ ...envelope.signatures[0], keyid: 'someone else' }] },
  };
};

test('the pre-authentication encoding of the DSSE protocol', async () => {
  expect(preAuthEncoding('http://example.com/HelloWorld', Buffer.from('hello world')).toString()).toBe(
    'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
  );
  // bytes are counted, not characters
  expect(preAuthEncoding('ü', Buffer.from('é')).toString()).toBe('DSSEv1 2 ü 2 é');
});

test('a bundle file of cosign over a manifest', async () => {
  const file = await readFile(join(GOLDEN, 'cosign-file/kit-modelkit-tar.sigstore.json'));
  const manifest = await readFile(join(GOLDEN, 'cosign-file/manifest.json'));
  const verifier = await openKeyVerifier(join(GOLDEN, 'cosign-keys/cosign.pub'));
  expect(await reasonFor(file, { verifier, digest: digestOf(manifest) })).toBeUndefined();
  expect(await reasonFor(file, { verifier, digest })).toMatch(/it signs sha256:3f38b17f\w+, not sha256:/);
  expect(await reasonFor(file, { digest: digestOf(manifest) })).toMatch(/not by the key test\.pub/);
});

describe('accepted', () => {
  test.each([
    ['version 0.3', 'application/vnd.dev.sigstore.bundle.v0.3+json'],
    ['version 0.3 as a parameter', 'application/vnd.dev.sigstore.bundle+json;version=0.3'],
    ['version 0.2', 'application/vnd.dev.sigstore.bundle+json;version=0.2'],
    ['version 0.1', 'application/vnd.dev.sigstore.bundle+json;version=0.1'],
  ])('%s', async (_, mediaType) => {
    expect(await reasonFor(bundle(signer, statement(digest), (made) => ({ ...made, mediaType })))).toBeUndefined();
  });

  test('the older statement type', async () => {
    expect(await reasonFor(bundle(signer, statement(digest, { _type: 'https://in-toto.io/Statement/v0.1' })))).toBeUndefined();
  });

  test('one subject of several', async () => {
    const subject = [{ digest: { sha256: 'f'.repeat(64) } }, { name: 'm', digest: { sha512: 'aa', sha256: hex } }];
    expect(await reasonFor(bundle(signer, statement(digest, { subject })))).toBeUndefined();
  });

  test('a log entry and a key id say nothing about a key', async () => {
    expect(await reasonFor(bundle(signer, statement(digest), withLogAndKeyId))).toBeUndefined();
  });

  test('the annotations that are required, and more', async () => {
    const subject = [{ digest: { sha256: hex }, annotations: { who: 'me', stage: 'prod' } }];
    const bytes = bundle(signer, statement(digest, { subject }));
    expect(await reasonFor(bytes, { annotations: { who: 'me' } })).toBeUndefined();
    expect(await reasonFor(bytes, { annotations: { who: 'me', stage: 'prod' } })).toBeUndefined();
  });
});

describe('not accepted', () => {
  const signed = statement(digest);
  const cases: [string, Buffer, RegExp][] = [
    ['a signature by another key', bundle(makeSigner(), signed), /changed after signing, or is not by the key/],
    [
      'a payload that was changed',
      bundle(signer, signed, withEnvelope({ payload: Buffer.from(`${JSON.stringify(signed)} `).toString('base64') })),
      /changed after signing/,
    ],
    ['a payload type that was changed', bundle(signer, signed, withEnvelope({ payloadType: 'text/plain' })), /changed after signing/],
    ['a signed payload of another type', bundle(signer, signed, undefined, 'application/json'), /payload type `application\/json`/],
    ['a signature of nothing', bundle(signer, signed, withEnvelope({ signatures: [{ sig: '' }] })), /not base64/],
    ['a signature that is no base64', bundle(signer, signed, withEnvelope({ signatures: [{ sig: 'a b' }] })), /not base64/],
    ['no signature', bundle(signer, signed, withEnvelope({ signatures: [] })), /0 signatures/],
    ['two signatures', bundle(signer, signed, withEnvelope({ signatures: [{ sig: 'AAAA' }, { sig: 'AAAA' }] })), /2 signatures/],
    ['another digest', bundle(signer, statement(otherDigest)), new RegExp(`signs ${otherDigest}, not ${digest}`)],
    ['no digest', bundle(signer, statement(digest, { subject: [{ name: 'x' }] })), /signs no sha256 digest/],
    [
      'the digest under another algorithm',
      bundle(signer, statement(digest, { subject: [{ digest: { sha512: hex } }] })),
      /signs no sha256/,
    ],
    ['no subject', bundle(signer, statement(digest, { subject: [] })), /statement is malformed: `subject`/],
    [
      'an attestation',
      bundle(signer, statement(digest, { predicateType: 'https://slsa.dev/provenance/v1' })),
      /an attestation \(https:\/\/slsa/,
    ],
    [
      'a predicate type that only begins right',
      bundle(signer, statement(digest, { predicateType: 'https://sigstore.dev/cosign/sign/v1x' })),
      /an attestation/,
    ],
    ['another statement type', bundle(signer, statement(digest, { _type: 'https://example.com/Statement' })), /`_type`/],
    ['a payload that is no JSON', bundle(signer, 'hello'), /statement is not JSON/],
    [
      'a certificate',
      bundle(signer, signed, (made) => ({ ...made, verificationMaterial: { certificate: { rawBytes: 'AAAA' } } })),
      /with a certificate/,
    ],
    [
      'a key and a certificate',
      bundle(signer, signed, (made) => ({ ...made, verificationMaterial: { publicKey: {}, certificate: { rawBytes: 'AAAA' } } })),
      /names both a key and a certificate/,
    ],
    ['another key, which it names', bundle(makeSigner(), signed), /not by the key test\.pub \(it names the key x\)$/],
    [
      'a change, though it names the key',
      bundle(makeSigner(), signed, (made) => ({ ...made, verificationMaterial: { publicKey: { hint: signer.key.keyId } } })),
      /not by the key test\.pub \(it names this key\)$/,
    ],
    [
      'a certificate chain',
      bundle(signer, signed, (made) => ({
        ...made,
        verificationMaterial: { x509CertificateChain: { certificates: [{ rawBytes: 'AAAA' }] } },
      })),
      /with a certificate/,
    ],
    ['no word about the key', bundle(signer, signed, (made) => ({ ...made, verificationMaterial: {} })), /does not say/],
    [
      'a signature over a file',
      bundle(signer, signed, (made) => ({ ...made, dsseEnvelope: undefined, messageSignature: { signature: 'AAAA' } })),
      /messageSignature/,
    ],
    ['no content', bundle(signer, signed, (made) => ({ ...made, dsseEnvelope: undefined })), /holds no signature/],
    [
      'a version to come',
      bundle(signer, signed, (made) => ({ ...made, mediaType: 'application/vnd.dev.sigstore.bundle.v0.4+json' })),
      /unknown/,
    ],
    ['something else', Buffer.from('[]'), /bundle is malformed/],
    ['no JSON', Buffer.from([0xff, 0xfe]), /bundle is not JSON/],
    ['nested without end', Buffer.from(`{"mediaType":${'['.repeat(1_000_000)}`), /bundle is not JSON/],
    ['nested deep', Buffer.from(`${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`), /bundle is malformed/],
    ['a statement nested without end', bundle(signer, `{"_type":${'['.repeat(1_000_000)}`), /statement is not JSON/],
    [
      'ten thousand signatures',
      bundle(signer, signed, withEnvelope({ signatures: Array.from({ length: 10_000 }, () => ({ sig: 'AAAA' })) })),
      /10000 signatures, not one/,
    ],
  ];
  test.each(cases)('%s', async (_, bytes, why) => {
    expect(await reasonFor(bytes)).toMatch(why);
  });

  test.each([
    ['another value', { who: 'you' }, /annotation who is `me`, not `you`/],
    ['one that is missing', { stage: 'prod' }, /no annotation stage/],
    ['the name of a method', { toString: 'x' }, /no annotation toString/],
  ])('an annotation: %s', async (_, annotations, why) => {
    const subject = [{ digest: { sha256: hex }, annotations: { who: 'me' } }];
    expect(await reasonFor(bundle(signer, statement(digest, { subject })), { annotations })).toMatch(why);
  });

  test('annotations of another subject do not count', async () => {
    const subject = [{ digest: { sha256: 'f'.repeat(64) }, annotations: { who: 'me' } }, { digest: { sha256: hex } }];
    expect(await reasonFor(bundle(signer, statement(digest, { subject })), { annotations: { who: 'me' } })).toMatch(/no annotation who/);
  });

  test('text of others reaches no terminal as it is', async () => {
    const bytes = bundle(signer, statement(digest, { predicateType: 'x\u001b[2J\nverified' }));
    expect(await reasonFor(bytes)).toBe('it is an attestation (x [2J verified), not a signature');
  });
});
