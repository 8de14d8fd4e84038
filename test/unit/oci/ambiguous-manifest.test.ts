import { describe, expect, test } from 'vitest';
import { parseIndex, parseManifest } from '../../../src/oci/manifest.ts';

const DESCRIPTOR = { mediaType: 'application/json', digest: `sha256:${'0'.repeat(64)}`, size: 2 };
const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

const invalid = (field: string): unknown =>
  expect.objectContaining({ code: 'MANIFEST_INVALID', message: expect.stringContaining(`a field \`${field}\``) as string });
const BOTH = { schemaVersion: 2, config: DESCRIPTOR, layers: [], manifests: [] };

describe('what could be taken for a manifest or an index, as its Content-Type has it', () => {
  test.each([
    ['has all fields of both', BOTH],
    ['says which it is', { ...BOTH, mediaType: 'application/vnd.oci.image.manifest.v1+json' }],
  ])('%s', (_name, value) => {
    expect(() => parseManifest(bytes(value), 'm')).toThrow(invalid('manifests'));
    expect(() => parseIndex(bytes(value), 'm')).toThrow(invalid('config'));
  });

  test('an index that has layers', () => {
    expect(() => parseIndex(bytes({ schemaVersion: 2, manifests: [], layers: [] }), 'm')).toThrow(invalid('layers'));
  });

  test('one of them is no problem', () => {
    expect(parseManifest(bytes({ schemaVersion: 2, config: DESCRIPTOR, layers: [] }), 'm').layers).toEqual([]);
    expect(parseIndex(bytes({ schemaVersion: 2, manifests: [] }), 'm').manifests).toEqual([]);
  });
});
