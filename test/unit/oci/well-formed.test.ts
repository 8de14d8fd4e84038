import { describe, expect, test } from 'vitest';
import { parseIndex, parseManifest } from '../../../src/oci/manifest.ts';
import { isWellFormed } from '../../../src/oci/well-formed.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const blob = { mediaType: 'text/plain', digest, size: 3, annotations: { a: 'b' }, artifactType: 'x/y' };
const manifest = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: blob, layers: [blob], subject: blob };
const index = { schemaVersion: 2, manifests: [blob], annotations: { a: 'b' } };
const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

test('what follows the spec is given back as it is', () => {
  expect(isWellFormed(manifest, 'manifest')).toBe(true);
  expect(isWellFormed(index, 'index')).toBe(true);
  expect(parseManifest(bytes(manifest), 'm')).toEqual(manifest);
  expect(parseIndex(bytes(index), 'i')).toEqual(index);
});

describe('the rest is left to the schema', () => {
  test.each([
    ['no object', []],
    ['null', null],
    ['an index', index],
    ['another version', { ...manifest, schemaVersion: 1 }],
    ['a field that the spec lacks', { ...manifest, extra: 1 }],
    ['another order', Object.fromEntries(Object.entries(manifest).toReversed())],
    ['no config', { schemaVersion: 2, layers: [] }],
    ['no layers', { schemaVersion: 2, config: blob }],
    ['layers null', { ...manifest, layers: null }],
    ['annotations null', { ...manifest, annotations: null }],
    ['annotations that are no text', { ...manifest, annotations: { a: 1 } }],
    ['annotations that would set a prototype', { ...manifest, annotations: JSON.parse('{"__proto__":"x"}') as unknown }],
    ['an empty media type', { ...manifest, layers: [{ ...blob, mediaType: '' }] }],
    ['a wrong digest', { ...manifest, layers: [{ ...blob, digest: 'sha256:abc' }] }],
    ['a negative size', { ...manifest, layers: [{ ...blob, size: -1 }] }],
    ['a broken size', { ...manifest, layers: [{ ...blob, size: 0.5 }] }],
    ['a size beyond exact integers', { ...manifest, layers: [{ ...blob, size: 2 ** 53 }] }],
    ['a descriptor with urls', { ...manifest, layers: [{ ...blob, urls: [] }] }],
    ['a subject that is none', { ...manifest, subject: 'x' }],
  ])('%s', (_name, value) => {
    expect(isWellFormed(value, 'manifest')).toBe(false);
  });

  test('which reorders fields, takes null for nothing, and names what is wrong', () => {
    const { mediaType, ...others } = manifest;
    expect(Object.keys(parseManifest(bytes({ ...others, mediaType }), 'm')).slice(0, 2)).toEqual(['schemaVersion', 'mediaType']);
    expect(parseManifest(bytes({ ...manifest, layers: null }), 'm').layers).toEqual([]);
    expect(() => parseManifest(bytes({ ...manifest, layers: [{ ...blob, size: -1 }] }), 'm')).toThrow('layers.0.size');
  });
});
