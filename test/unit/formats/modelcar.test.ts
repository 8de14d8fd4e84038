import { describe, expect, test } from 'vitest';
import { modelcar } from '../../../src/formats/modelcar.ts';
import {
  assembleModelcar,
  type BaseImage,
  hasEntrypoint,
  modelcarLayer,
  platformOf,
  writeModelcarIndex,
} from '../../../src/formats/modelcar-image.ts';
import { formatOf, oneOfSameSource } from '../../../src/formats/registry.ts';
import type { PackedLayer } from '../../../src/formats/types.ts';
import type { Kitfile } from '../../../src/kitfile/types.ts';
import { describe as describeBytes } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { parseIndex, parseManifest } from '../../../src/oci/manifest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';

const KITFILE: Kitfile = { manifestVersion: '1.0.0', package: { name: 'm' }, model: { path: './weights/' }, docs: [{ path: 'README.md' }] };
const SOURCE = digestOf(Buffer.from('source'));
const AMD64 = { os: 'linux', architecture: 'amd64' };

function layer(role: 'model' | 'docs', path: string): PackedLayer {
  const digest = digestOf(Buffer.from(path));
  return modelcarLayer({ role, index: 0, path, diffId: digest, descriptor: { digest, size: 1024 } });
}

const LAYERS = [layer('model', 'weights'), layer('docs', 'README.md')];
const BASE_LAYER = describeBytes('application/vnd.docker.image.rootfs.diff.tar.gzip', Buffer.from('base'));

function base(config: object): BaseImage {
  const bytes = Buffer.from(JSON.stringify(config));
  const manifest = { schemaVersion: 2, config: describeBytes(MEDIA_TYPE.dockerImageConfig, bytes), layers: [BASE_LAYER] } as const;
  return { manifest, config: bytes, digest: SOURCE, name: 'example.com/base:1' };
}

const BASE = { os: 'linux', architecture: 'arm64', variant: 'v8', rootfs: { type: 'layers', diff_ids: [SOURCE] }, author: 'A' };

function assembled(options: Partial<Parameters<typeof assembleModelcar>[2]> = {}) {
  const made = assembleModelcar(KITFILE, LAYERS, { platform: AMD64, source: SOURCE, ...options });
  const manifest = parseManifest(made.manifest, 'made');
  return { manifest, bytes: made.config.bytes, config: JSON.parse(Buffer.from(made.config.bytes).toString()) as Record<string, unknown> };
}

describe('an image of the model alone', () => {
  test('has the platform, a diffId and a history entry for each layer, and no artifactType', () => {
    const { manifest, config } = assembled();
    expect(config).toEqual({
      created: '1970-01-01T00:00:00Z',
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: LAYERS.map(({ diffId }) => diffId) },
      history: [
        { created: '1970-01-01T00:00:00Z', created_by: 'kit convert: models/weights' },
        { created: '1970-01-01T00:00:00Z', created_by: 'kit convert: models/README.md' },
      ],
    });
    expect(manifest).not.toHaveProperty('artifactType');
    expect(manifest.annotations).toMatchObject({ 'dev.ocikit.source.digest': SOURCE });
    expect(manifest.annotations).not.toHaveProperty('org.opencontainers.image.created');
  });

  test('tells the time only when it is given', () => {
    const { manifest, config } = assembled({ created: '2026-01-02T03:04:05Z' });
    expect(config).toMatchObject({ created: '2026-01-02T03:04:05Z', history: [{ created: '2026-01-02T03:04:05Z' }, {}] });
    expect(manifest.annotations).toHaveProperty(['org.opencontainers.image.created'], '2026-01-02T03:04:05Z');
  });

  test('is read back: Kitfile, paths, roles, and where in the archives the files are', () => {
    const { manifest, bytes } = assembled();
    expect(formatOf(manifest).name).toBe('modelcar');
    const { kitfile, layers } = modelcar.read(manifest, bytes, 'x');
    expect(kitfile).toEqual(KITFILE);
    expect(layers.map(({ role, path, inner, encoding, diffId }) => [role, path, inner, encoding, diffId])).toEqual([
      ['model', './weights/', 'models', 'tar', LAYERS[0]?.diffId],
      ['docs', 'README.md', 'models', 'tar', LAYERS[1]?.diffId],
    ]);
  });

  test('is read although a tool compressed its layers and dropped their annotations', () => {
    const { manifest, bytes } = assembled();
    const layers = manifest.layers.map((one) =>
      describeBytes('application/vnd.oci.image.layer.v1.tar+gzip', Buffer.from(`gz ${one.digest}`)),
    );
    const read = modelcar.read({ ...manifest, layers }, bytes, 'x');
    expect(read.layers.map(({ path, compression }) => [path, compression])).toEqual([
      ['./weights/', 'gzip'],
      ['README.md', 'gzip'],
    ]);
  });
});

describe('on a base', () => {
  test('keeps what its config says, and its layers come first, in the types of OCI', () => {
    const history = [{ created_by: 'ADD base' }, { created_by: 'CMD sh', empty_layer: true }];
    const { manifest, config } = assembled({ base: base({ ...BASE, created: '2020-01-01T00:00:00Z', config: { Cmd: ['sh'] }, history }) });
    expect(manifest.layers[0]).toEqual({ ...BASE_LAYER, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' });
    expect(config).toMatchObject({ created: '2020-01-01T00:00:00Z', author: 'A', variant: 'v8', config: { Cmd: ['sh'] } });
    expect((config['rootfs'] as { diff_ids: string[] }).diff_ids).toEqual([SOURCE, ...LAYERS.map(({ diffId }) => diffId)]);
    expect(config['history']).toHaveLength(4);
    expect(manifest.annotations).toMatchObject({
      'org.opencontainers.image.base.name': 'example.com/base:1',
      'org.opencontainers.image.base.digest': SOURCE,
    });
    expect(modelcar.read(manifest, Buffer.from(JSON.stringify(config)), 'x').layers).toHaveLength(2);
  });

  test('without a history of its own has none: one that covers some layers only would be wrong', () => {
    expect(assembled({ base: base(BASE) }).config).not.toHaveProperty('history.0');
  });

  test('that contradicts itself, or is for no platform, is refused', () => {
    expect(() => assembled({ base: base({ ...BASE, rootfs: { diff_ids: [] } }) })).toThrow('lists 0 diffIds for 1 layers');
    expect(() => platformOf(base({ os: 'linux' }))).toThrow('names no platform');
    expect(() => platformOf({ ...base({}), config: Buffer.from('{') })).toThrow('not JSON');
    expect(platformOf(base(BASE))).toEqual({ os: 'linux', architecture: 'arm64', variant: 'v8' });
    expect([hasEntrypoint(base(BASE)), hasEntrypoint(base({ ...BASE, config: { Entrypoint: ['/run'] } }))]).toEqual([false, true]);
  });
});

describe('hostile images', () => {
  test.each([
    ['leaves /models', { 'dev.ocikit.modelcar.layers': JSON.stringify({ [String(LAYERS[0]?.diffId)]: 'models/../../etc' }) }],
    ['lists no paths', { 'dev.ocikit.modelcar.layers': '[1]' }],
  ])('a list of layers that %s names none', (_, annotations) => {
    const { manifest, bytes } = assembled();
    const layers = manifest.layers.map(({ annotations: _dropped, ...one }) => one);
    expect(modelcar.read({ ...manifest, layers, annotations }, bytes, 'x').layers).toEqual([]);
  });

  test('more layers than diffIds', () => {
    const { manifest, bytes } = assembled();
    expect(() => modelcar.read({ ...manifest, layers: manifest.layers.slice(1) }, bytes, 'x')).toThrow('2 diffIds for 1 layers');
  });

  test('an index of images that come from different artifacts needs a choice', () => {
    const { bytes } = writeModelcarIndex(
      [
        { bytes: Buffer.from('a'), platform: AMD64 },
        { bytes: Buffer.from('b'), platform: undefined },
      ],
      SOURCE,
    );
    const { manifests } = parseIndex(bytes, 'x');
    expect(oneOfSameSource(manifests)).toBe(manifests[0]);
    const other = { ...manifests[1], annotations: { 'dev.ocikit.source.digest': 'sha256:other' } } as never;
    expect(oneOfSameSource([manifests[0] as never, other])).toBeUndefined();
    expect(oneOfSameSource(manifests.map(({ annotations: _dropped, ...one }) => one))).toBeUndefined();
  });
});
