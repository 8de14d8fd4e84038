import { describe, expect, test } from 'vitest';
import {
  describeVariants,
  type Edits,
  emptyModelIndex,
  labelPairs,
  parseModelIndex,
  withoutVariant,
  withVariant,
} from '../../../src/formats/model-index.ts';
import type { Digest } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';

const A = `sha256:${'a'.repeat(64)}` as Digest;
const B = `sha256:${'b'.repeat(64)}` as Digest;
const NONE: Edits<never> = { set: new Map<string, never>(), remove: new Set() };
const edits = <T>(set: Record<string, T>, ...remove: string[]): Edits<T> => ({
  set: new Map(Object.entries(set)),
  remove: new Set(remove),
});

function variant(digest: Digest, tag?: string) {
  const descriptor = { mediaType: MEDIA_TYPE.imageManifest, digest, size: 649 };
  return { descriptor, artifactType: 'application/vnd.kitops.modelkit.manifest.v1+json', tag, size: 2048 };
}

describe('writing', () => {
  test('an empty one, as KitOps writes it', () => {
    expect(emptyModelIndex().toString()).toBe(
      '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","artifactType":"application/vnd.kitops.modelkit.index.v1+json","manifests":[]}',
    );
  });

  test('fields and keys in the order of Go', () => {
    const index = withVariant(
      emptyModelIndex(),
      variant(A, 'q4_0'),
      edits<unknown>({ vram: '6GB', 9: 1, 10: '<&>' }),
      edits({ z: '1', a: '2' }),
    );
    expect(index.toString()).toContain(
      `"manifests":[{"mediaType":"${MEDIA_TYPE.imageManifest}","digest":"${A}","size":649,` +
        '"annotations":{"a":"2","ml.kitops.modelkit.original-tag":"q4_0","ml.kitops.modelkit.size":"2048","z":"1"},' +
        '"artifactType":"application/vnd.kitops.modelkit.manifest.v1+json","modelMetadata":{"10":"\\u003c\\u0026\\u003e","9":1,"vram":"6GB"}}]}',
    );
  });

  test('what is added again is merged, where it was', () => {
    let index = withVariant(emptyModelIndex(), variant(A, 'a'), edits<unknown>({ x: '1', y: '2' }), edits({ note: 'n' }));
    index = withVariant(index, variant(B), NONE, NONE);
    index = withVariant(index, variant(A), edits<unknown>({ x: '3', z: '4' }, 'y'), edits({}, 'note'));
    const { variants } = parseModelIndex(index, 'i');
    expect(
      variants.map(({ descriptor, labels, tag, size, annotations }) => [descriptor.digest, labelPairs(labels), tag, size, annotations]),
    ).toEqual([
      [A, ['x=3', 'z=4'], 'a', 2048, {}],
      [B, [], undefined, 2048, {}],
    ]);
    expect(index.toString()).not.toContain('"modelMetadata":{}');
    expect(withoutVariant(index, A)?.toString()).not.toContain(A);
    expect(withoutVariant(emptyModelIndex(), A)).toBeUndefined();
  });

  test('numbers, and fields that nobody knows, stay as they were written', () => {
    const text = `{"schemaVersion":2,"mediaType":"${MEDIA_TYPE.imageIndex}","artifactType":"${MEDIA_TYPE.modelIndex}","manifests":[{"mediaType":"${MEDIA_TYPE.imageManifest}","digest":"${A}","size":649,"data":"e30=","future":[1.0,-0],"modelMetadata":{"big":12345678901234567890,"exp":7e9,"one":1.0,"plain":7000000000}}],"annotations":{"k":"v"},"later":true}`;
    const index = withVariant(Buffer.from(text), variant(B), NONE, NONE).toString();
    for (const part of [
      '"data":"e30=","future":[1.0,-0]',
      '{"big":12345678901234567890,"exp":7e9,"one":1.0,"plain":7000000000}',
      '"later":true',
      '"annotations":{"k":"v"}',
    ])
      expect(index).toContain(part);
    expect(labelPairs(parseModelIndex(Buffer.from(text), 'i').variants[0]?.labels ?? new Map())).toEqual([
      'big=12345678901234567890',
      'exp=7e9',
      'one=1.0',
      'plain=7000000000',
    ]);
    expect(withoutVariant(withVariant(Buffer.from(text), variant(B), NONE, NONE), B)?.toString()).toBe(text);
  });
});

const index = (manifests: readonly object[], artifactType?: string): Buffer =>
  Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, artifactType, manifests }));
const entry = (fields: object) => ({ mediaType: MEDIA_TYPE.imageManifest, digest: A, size: 1, ...fields });

describe('reading', () => {
  test('an index that is not of ModelKits: platforms and kinds are its labels', () => {
    const bytes = index([
      entry({ platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }),
      entry({
        platform: { os: 'unknown', architecture: 'unknown' },
        annotations: { 'io.opendatahub.modelcar.manifest.type': 'modelpack' },
      }),
      entry({ artifactType: 'application/vnd.kitops.modelkit.manifest.v1+json', modelMetadata: { ignored: 'x' } }),
      entry({ platform: { os: 5, architecture: {} } }),
      entry({ mediaType: MEDIA_TYPE.imageIndex }),
    ]);
    const { isOfModelKits, variants } = parseModelIndex(bytes, 'i');
    expect(isOfModelKits).toBe(false);
    expect(variants.map(({ labels }) => labelPairs(labels))).toEqual([
      ['platform=linux/arm/v7'],
      ['format=modelpack'],
      ['format=modelkit'],
      [],
    ]);
  });

  test.each([[null], [['a']], ['text'], [7]])('labels that are no map are none: %j', (modelMetadata) => {
    expect(parseModelIndex(index([entry({ modelMetadata })], MEDIA_TYPE.modelIndex), 'i').variants[0]?.labels.size).toBe(0);
  });

  test('a key that is a trap is a key', () => {
    const text = index([entry({})], MEDIA_TYPE.modelIndex)
      .toString()
      .replace('"size":1', '"size":1,"modelMetadata":{"__proto__":"x","toString":{"a":1}}');
    const [found] = parseModelIndex(Buffer.from(text), 'i').variants;
    expect(labelPairs(found?.labels ?? new Map())).toEqual(['__proto__=x', 'toString={"a":1}']);
  });

  test.each(['-1', '1e3', '', ' 5', '99999999999999999'])('a size that is none is not believed: %j', (size) => {
    const bytes = index([entry({ annotations: { 'ml.kitops.modelkit.size': size } })], MEDIA_TYPE.modelIndex);
    expect(parseModelIndex(bytes, 'i').variants[0]?.size).toBeUndefined();
  });

  test('labels cannot break out of the line of a message, nor fill the screen', () => {
    const hostile = { 'k\n  sha256:x': '\u001b[2J', long: 'x'.repeat(5000) };
    const bytes = index(
      Array.from({ length: 60 }, () => entry({ modelMetadata: hostile, annotations: { 'ml.kitops.modelkit.original-tag': 'a\rb' } })),
      MEDIA_TYPE.modelIndex,
    );
    const text = describeVariants(parseModelIndex(bytes, 'i').variants);
    expect(text.split('\n')).toHaveLength(42);
    expect(text).toContain('and 20 more');
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThan(320);
  });

  test('what is no index is refused', () => {
    expect(() => parseModelIndex(Buffer.from('{"schemaVersion":2,"manifests":{}}'), 'i')).toThrow(
      expect.objectContaining({ code: 'MANIFEST_INVALID' }),
    );
  });
});
