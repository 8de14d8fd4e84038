import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../src/oci/digest.ts';
import type { SignatureRequirement } from '../../../src/signing/requirement.ts';
import { legacyTag } from '../../../src/signing/legacy-tag.ts';
import { requireSimpleSigning } from '../../../src/signing/simple-signing.ts';
import { makeSigner, refusal, SIGNATURE, simplePayload } from './sample-signatures.ts';

const digest = digestOf(Buffer.from('the manifest'));
const otherDigest = digestOf(Buffer.from('another'));
const signer = makeSigner();

async function reasonFor(
  payload: Buffer,
  annotations: Record<string, string> = { [SIGNATURE]: signer.sign(payload) },
  wanted: Record<string, string> = {},
) {
  const requirement: SignatureRequirement = { verifier: signer.verifier, digest, annotations: wanted };
  return await refusal(async () => await requireSimpleSigning(payload, annotations, requirement));
}

test('the tag of cosign', async () => {
  expect(legacyTag(digest, 'sig')).toBe(`sha256-${digest.slice(7)}.sig`);
  // it would have more than 128 characters
  expect(legacyTag(digestOf(Buffer.from('x'), 'sha512'), 'sig')).toBeUndefined();
});

describe('a payload of cosign', () => {
  test('is accepted', async () => {
    expect(await reasonFor(simplePayload(digest))).toBeUndefined();
    expect(await reasonFor(simplePayload(digest, { who: 'me', more: 1 }), undefined, { who: 'me' })).toBeUndefined();
  });

  test('is signed byte by byte', async () => {
    const payload = simplePayload(digest);
    const reformatted = Buffer.from(JSON.stringify(JSON.parse(payload.toString()), undefined, 1));
    expect(await reasonFor(reformatted, { [SIGNATURE]: signer.sign(payload) })).toMatch(/changed after signing/);
  });

  const payload = simplePayload(digest);
  const cases: [string, Buffer, Record<string, string> | undefined, RegExp][] = [
    ['another key', payload, { [SIGNATURE]: makeSigner().sign(payload) }, /not by the key/],
    ['no annotation', payload, {}, /no signature annotation/],
    ['an empty annotation', payload, { [SIGNATURE]: '' }, /no signature annotation/],
    ['a keyless signature', payload, { [SIGNATURE]: signer.sign(payload), 'dev.sigstore.cosign/certificate': 'PEM' }, /certificate/],
    ['another digest', simplePayload(otherDigest), undefined, new RegExp(`signs ${otherDigest}, not ${digest}`)],
    ['another type', simplePayload(digest, null, 'atomic container signature'), undefined, /`critical\.type`/],
    ['a payload of something else', Buffer.from('{"critical":{}}'), undefined, /payload is malformed/],
    ['a payload that is no JSON', Buffer.from('hello'), undefined, /payload is not JSON/],
  ];
  test.each(cases)('is not accepted: %s', async (_, bytes, annotations, why) => {
    expect(await reasonFor(bytes, annotations)).toMatch(why);
  });

  test.each([
    ['another value', { who: 'me' }, /who is `me`, not `you`/],
    ['a value of another type', { who: 1 }, /no annotation who/],
    ['null', null, /no annotation who/],
  ])('lacks an annotation: %s', async (_, optional, why) => {
    expect(await reasonFor(simplePayload(digest, optional), undefined, { who: 'you' })).toMatch(why);
  });
});
