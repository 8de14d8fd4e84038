import { describe, expect, test } from 'vitest';
import { parseIndex, parseManifest } from '../../../src/oci/manifest.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const blob = { mediaType: 'text/plain', digest, size: 3, annotations: { a: 'b' }, artifactType: 'x/y' };
const manifest = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: blob, layers: [blob], subject: blob };
const index = { schemaVersion: 2, manifests: [blob], annotations: { a: 'b' } };
const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

test('what follows the spec is given back as it is', () => {
  expect(JSON.stringify(parseManifest(bytes(manifest), 'm'))).toBe(JSON.stringify(manifest));
  expect(JSON.stringify(parseIndex(bytes(index), 'i'))).toBe(JSON.stringify(index));
});

test('fields are put in order, and what the spec lacks is kept after them', () => {
  const reversed = Object.fromEntries(
    Object.entries({ extra: { deep: [1] }, ...manifest, layers: [{ ...blob, urls: ['u'] }] }).toReversed(),
  );
  expect(JSON.stringify(parseManifest(bytes(reversed), 'm'))).toBe(
    JSON.stringify({ ...manifest, layers: [{ ...blob, urls: ['u'] }], extra: { deep: [1] } }),
  );
});

test('null, as Go writes what is not there, is no list and no annotations', () => {
  const { layers: _layers, ...others } = manifest;
  for (const value of [{ ...manifest, layers: null, annotations: null }, others]) {
    expect(JSON.stringify(parseManifest(bytes(value), 'm'))).toBe(JSON.stringify({ ...manifest, layers: [] }));
  }
  expect(parseIndex(bytes({ ...index, manifests: null, annotations: null }), 'i')).toEqual({ schemaVersion: 2, manifests: [] });
});

test('names that would set a prototype are left out', () => {
  const hostile = JSON.parse('{"__proto__":{"polluted":"x"},"a":"b"}') as object;
  const annotations = JSON.parse('{"__proto__":"x","a":"b"}') as object;
  const read = parseManifest(Buffer.from(JSON.stringify({ ...manifest, annotations }).replace('{', '{"__proto__":{"polluted":"x"},')), 'm');
  expect(Object.keys(hostile)).toContain('__proto__');
  expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  expect(Object.keys(read)).not.toContain('__proto__');
  expect(read.annotations).toEqual({ a: 'b' });
  expect(Object.getPrototypeOf(read.annotations)).toBe(Object.prototype);
});

describe('what is wrong is named, with where', () => {
  const layer = (changes: object): object => ({ ...manifest, layers: [blob, { ...blob, ...changes }] });
  test.each([
    [[], 'm: manifest: expected an object, received a list'],
    [null, 'm: manifest: expected an object, received null'],
    ['x', 'm: manifest: expected an object, received a text'],
    [{ ...manifest, schemaVersion: 1 }, 'm: manifest field `schemaVersion`: expected 2, received 1'],
    [{ ...manifest, schemaVersion: '2' }, 'm: manifest field `schemaVersion`: expected 2, received a text'],
    [{ schemaVersion: 2, layers: [] }, 'm: manifest field `config`: expected an object, received nothing'],
    [{ ...manifest, mediaType: null }, 'm: manifest field `mediaType`: expected a text, received null'],
    [{ ...manifest, artifactType: true }, 'm: manifest field `artifactType`: expected a text, received true'],
    [{ ...manifest, layers: {} }, 'm: manifest field `layers`: expected a list, received an object'],
    [{ ...manifest, annotations: { a: 1 } }, 'm: manifest field `annotations.a`: expected a text, received 1'],
    [{ ...manifest, annotations: 'a' }, 'm: manifest field `annotations`: expected an object, received a text'],
    [{ ...manifest, subject: 'x' }, 'm: manifest field `subject`: expected an object, received a text'],
    [{ ...manifest, subject: null }, 'm: manifest field `subject`: expected an object, received null'],
    [layer({ mediaType: '' }), 'm: manifest field `layers.1.mediaType`: must not be empty'],
    [layer({ digest: 'sha256:abc' }), 'm: manifest field `layers.1.digest`: not a digest'],
    [layer({ size: -1 }), 'm: manifest field `layers.1.size`: expected a number of bytes, received -1'],
    [layer({ size: 0.5 }), 'm: manifest field `layers.1.size`: expected a number of bytes, received 0.5'],
    [layer({ size: 2 ** 53 }), 'm: manifest field `layers.1.size`: expected a number of bytes, received 9007199254740992'],
    [layer({ size: '3' }), 'm: manifest field `layers.1.size`: expected a number of bytes, received a text'],
    [layer({ annotations: null }), 'm: manifest field `layers.1.annotations`: expected an object, received null'],
    [{ ...manifest, layers: [null] }, 'm: manifest field `layers.0`: expected an object, received null'],
  ])('%j', (value, message) => {
    expect(() => parseManifest(bytes(value), 'm')).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID', message }));
  });

  test('of an index too', () => {
    expect(() => parseIndex(bytes({ ...index, manifests: [{ ...blob, size: null }] }), 'i')).toThrow(
      'i: index field `manifests.0.size`: expected a number of bytes, received null',
    );
  });
});
