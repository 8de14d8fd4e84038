import { describe, expect, test } from 'vitest';
import { predicateOf, predicateTypeOf } from '../../../src/signing/predicate-types.ts';

const at = { file: 'p.json', time: '2026-01-01T00:00:00Z' };

test.each([
  ['custom', 'https://cosign.sigstore.dev/attestation/v1'],
  ['slsaprovenance', 'https://slsa.dev/provenance/v0.2'],
  ['slsaprovenance1', 'https://slsa.dev/provenance/v1'],
  ['link', 'https://in-toto.io/Link/v1'],
  ['spdx', 'https://spdx.dev/Document'],
  ['spdxjson', 'https://spdx.dev/Document'],
  ['cyclonedx', 'https://cyclonedx.org/bom'],
  ['vuln', 'https://cosign.sigstore.dev/attestation/vuln/v1'],
  ['openvex', 'https://openvex.dev/ns'],
  ['https://example.com/eval/v1', 'https://example.com/eval/v1'],
  ['urn:example:eval', 'urn:example:eval'],
])('%s', (name, uri) => {
  expect(predicateTypeOf(name)).toBe(uri);
});

test.each(['slsa', '', 'toString', 'a b:c'])('unknown: "%s"', (name) => {
  expect(() => predicateTypeOf(name)).toThrowError(expect.objectContaining({ code: 'USAGE' }) as Error);
});

describe('what becomes of the file', () => {
  test('JSON stays as it is, to the letter', () => {
    const text = '{"b": 1.0, "a": 12345678901234567890, "a": "<>"}\n';
    expect(predicateOf('slsaprovenance1', text, at)).toBe(text.trim());
    expect(predicateOf('https://example.com/eval/v1', text, at)).toBe(text.trim());
  });

  test('custom carries any text, as cosign', () => {
    expect(JSON.parse(predicateOf('custom', 'any\n', at))).toEqual({ Data: 'any\n', Timestamp: at.time });
  });

  test.each(['text', '[1]', 'null', '"x"', '', '\ufeff{}'])('no JSON object: %s', (text) => {
    expect(() => predicateOf('cyclonedx', text, at)).toThrowError(/^p\.json (is not JSON|holds no JSON object)/);
  });
});
