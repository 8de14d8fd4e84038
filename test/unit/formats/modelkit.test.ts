import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { modelkit, parseLayerType } from '../../../src/formats/modelkit.ts';
import { formatOf } from '../../../src/formats/registry.ts';
import type { PackedLayer, PackFile, PlanOptions } from '../../../src/formats/types.ts';
import { parseKitfile } from '../../../src/kitfile/parse.ts';
import { type KitfileEntry, kitfileEntries, type Role } from '../../../src/kitfile/types.ts';
import { type Digest, digestOf } from '../../../src/oci/digest.ts';
import type { Manifest } from '../../../src/oci/manifest.ts';
import { loadManifest, readBlob, readManifest } from '../../support/golden-layout.ts';

const GOLDEN = join(import.meta.dirname, '../../../fixtures/golden');
const CONFIG = 'application/vnd.kitops.modelkit.config.v1+json';
const DIGESTS = ['a', 'b', 'c'].map((text) => digestOf(Buffer.from(text))) as [Digest, Digest, Digest];

function read(layout: string) {
  const manifest = loadManifest(layout);
  expect(formatOf(manifest)).toBe(modelkit);
  return { manifest, artifact: modelkit.read(manifest, readBlob(layout, manifest.config), 'the-name') };
}

interface Layer {
  readonly type: string;
  readonly digest?: Digest;
  readonly annotations?: Record<string, string>;
}

/** Reads a manifest with these layers and this config. */
function readMade(layers: readonly Layer[], config: unknown) {
  const manifest: Manifest = {
    schemaVersion: 2,
    config: { mediaType: CONFIG, digest: DIGESTS[0], size: 1 },
    layers: layers.map(({ type, digest = DIGESTS[0], annotations = {} }) => ({
      mediaType: `application/vnd.kitops.modelkit.${type}`,
      digest,
      size: 10,
      annotations,
    })),
  };
  return modelkit.read(manifest, Buffer.from(JSON.stringify(config)), 'the-name').layers;
}

const kitfile = (fields: object) => ({ manifestVersion: '1.0.0', package: {}, ...fields });
const invalid = (text: string) =>
  expect.objectContaining({ code: 'MANIFEST_INVALID', message: expect.stringContaining(text) as unknown }) as unknown;

describe('artifacts of KitOps', () => {
  test.each([
    ['kit-modelkit-tar', 'none'],
    ['kit-modelkit-gzip', 'gzip'],
  ])('%s', (layout, compression) => {
    const { manifest, artifact } = read(layout);
    expect(artifact.kitfile).toEqual(parseKitfile(readFileSync(join(GOLDEN, 'input/Kitfile'), 'utf8'), 'Kitfile').kitfile);
    expect(artifact.layers.map(({ role, name, path }) => [role, name, path])).toEqual([
      ['model', 'tiny', './weights'],
      ['modelpart', 'config', 'config.json'],
      ['modelpart', 'tokenizer', './tokenizer.json'],
      ['modelpart', 'gguf', 'gguf/tiny-golden-F32.gguf'],
      ['code', undefined, 'src/'],
      ['dataset', 'train', 'data/train.csv'],
      ['dataset', 'train-v2', 'data-v2'],
      ['docs', undefined, 'README.md'],
      ['docs', undefined, 'LICENSE'],
      ['docs', undefined, './docs'],
    ]);
    for (const [index, layer] of artifact.layers.entries()) {
      expect(layer).toMatchObject({ encoding: 'tar', compression, target: '', descriptor: manifest.layers[index] });
    }
    expect(artifact.layers.map(({ diffId }) => diffId)).toEqual(loadManifest('kit-modelkit-tar').layers.map(({ digest }) => digest));
  });

  test('kit-catchall-tar', () => {
    expect(read('kit-catchall-tar').artifact.layers.map(({ role, path }) => `${role} ${path}`)).toEqual([
      'model gguf/tiny-golden-F32.gguf',
      'code .',
      'dataset data',
      'docs README.md',
    ]);
  });

  test('the config and the manifest are written byte for byte', () => {
    const manifest = loadManifest('kit-modelkit-tar');
    const { artifact } = read('kit-modelkit-tar');
    const entries: KitfileEntry[] = kitfileEntries(artifact.kitfile!);
    const layers = manifest.layers.map((descriptor, index): PackedLayer => {
      const { role, index: position, path = '.' } = entries[index] as KitfileEntry;
      return { role, index: position, path, descriptor, diffId: descriptor.digest };
    });
    const written = modelkit.assemble(artifact.kitfile!, layers, {});
    expect(written.config.descriptor).toEqual(manifest.config);
    expect(Buffer.from(written.config.bytes).equals(readBlob('kit-modelkit-tar', manifest.config))).toBe(true);
    expect(written.extra).toEqual([]);
    // what KitOps 1.15 added, and what depends on the tool
    const older = Buffer.from(written.manifest)
      .toString()
      .replace(
        '"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.kitops.modelkit.manifest.v1+json",',
        '',
      )
      .replace(/\}$/, ',"annotations":{"ml.kitops.modelkit.cli-version":"unknown"}}');
    expect(older).toBe(readManifest('kit-modelkit-tar').toString());
  });
});

function planned(role: Role, options: Partial<PlanOptions>, file: Partial<PackFile> = {}) {
  const own: PackFile = { path: 'a/b.md', type: 'file', mode: 0o4755, size: 7, ...file };
  const folder: PackFile = { path: 'a', type: 'directory', mode: 0o755, size: 0 };
  const warnings: string[] = [];
  const warn = (code: string): void => void warnings.push(code);
  const entry = { role, index: 0, name: undefined, path: './a/b.md' };
  const [layer] = modelkit.plan([{ entry, path: 'a/b.md', files: [folder, own] }], {
    encoding: undefined,
    compression: 'none',
    warn,
    ...options,
  });
  return { layer, warnings };
}

function emptyManifest(created?: string): string {
  return Buffer.from(modelkit.assemble({ manifestVersion: '1.0.0', package: {} }, [], { created }).manifest).toString();
}

describe('writing', () => {
  test.each([
    ['prompt', { compression: 'gzip-fastest' }, 'code.v1.tar+gzip'],
    ['mcpserver', { compression: 'zstd' }, 'mcpb.v1.raw'],
    ['docs', { encoding: 'tar', compression: 'zstd' }, 'docs.v1.tar+zstd'],
    ['model', { encoding: 'raw', compression: 'gzip' }, 'model.v1.raw+gzip'],
  ] as const)('a %s with %j is %s', (role, options, type) => {
    expect(planned(role, options).layer?.mediaType).toBe(`application/vnd.kitops.modelkit.${type}`);
  });

  test('annotations; a raw layer is the one file, a tar has its ancestors too', () => {
    const raw = planned('prompt', { encoding: 'raw' }).layer;
    expect(raw?.files.map(({ path }) => path)).toEqual(['a/b.md']);
    expect(raw?.annotations).toEqual({
      'ml.kitops.modelkit.layer-subtype': 'prompt',
      'org.cncf.model.file.metadata+json':
        '{"name":"b.md","mode":493,"uid":0,"gid":0,"size":7,"mtime":"1970-01-01T00:00:00Z","typeflag":48}',
      'org.cncf.model.filepath': 'a/b.md',
    });
    const tar = planned('code', {}).layer;
    expect(tar?.files.map(({ path }) => path)).toEqual(['a', 'a/b.md']);
    expect(tar?.annotations).toEqual({ 'org.cncf.model.filepath': 'a/b.md' });
  });

  test('a directory is never raw', () => {
    const directory = { type: 'directory', size: 0 } as const;
    expect(planned('code', { encoding: 'raw' }, directory)).toMatchObject({ layer: { encoding: 'tar' }, warnings: ['LAYER_NOT_RAW'] });
    expect(() => planned('mcpserver', {}, directory)).toThrow(expect.objectContaining({ code: 'PATH_UNSUPPORTED' }));
  });

  test('annotations of the manifest are left out when there are none', () => {
    expect(emptyManifest()).toMatch(/"layers":\[\]\}$/);
    expect(emptyManifest('2026-01-01T00:00:00Z')).toMatch(/"annotations":\{"org.opencontainers.image.created":"2026-01-01T00:00:00Z"\}\}$/);
  });
});

describe('reading', () => {
  test('from before KitOps 0.5: no digests, names relative to the parent of the path', () => {
    const config = kitfile({ model: { path: './m/weights/x.bin' }, code: [{ path: 'src/' }], datasets: [{ path: 'data.csv' }] });
    const layers = readMade([{ type: 'model.v1.tar+gzip' }, { type: 'code.v1.tar' }, { type: 'dataset.v1.tar' }], config);
    expect(layers.map(({ target, diffId, compression }) => [target, diffId, compression])).toEqual([
      ['./m/weights', undefined, 'gzip'],
      ['', undefined, 'none'],
      ['', undefined, 'none'],
    ]);
  });

  test('raw layers take path and mode from their annotations', () => {
    const annotations = { 'org.cncf.model.filepath': 'm/x.bin', 'org.cncf.model.file.metadata+json': '{"mode":33261}' };
    const config = kitfile({ model: { path: 'm', digest: DIGESTS[0], diffId: DIGESTS[0] } });
    expect(readMade([{ type: 'model.v1.raw', annotations }], config)).toMatchObject([{ encoding: 'raw', target: 'm/x.bin', mode: 0o755 }]);
    expect(readMade([{ type: 'model.v1.raw' }], config)).toMatchObject([{ encoding: 'raw', target: 'm', mode: 0o644 }]);
    const broken = { 'org.cncf.model.file.metadata+json': 'no json' };
    expect(readMade([{ type: 'model.v1.raw', annotations: broken }], config)).toMatchObject([{ mode: 0o644 }]);
  });

  test('prompts are code layers with a mark', () => {
    const annotations = { 'ml.kitops.modelkit.layer-subtype': 'prompt' };
    const config = kitfile({ code: [{ path: 'a', digest: DIGESTS[0] }], prompts: [{ path: 'b', digest: DIGESTS[1] }] });
    const layers = [{ type: 'code.v1.tar' }, { type: 'code.v1.tar', digest: DIGESTS[1], annotations }];
    expect(readMade(layers, config).map(({ role, path }) => `${role} ${path}`)).toEqual(['code a', 'prompt b']);
  });

  test('an entry that has no layer, as a reference to another ModelKit, is passed over', () => {
    const config = kitfile({ model: { path: 'other:v1', parts: [{ path: 'lora', digest: DIGESTS[1] }] } });
    expect(readMade([{ type: 'modelpart.v1.tar', digest: DIGESTS[1] }], config)).toMatchObject([{ role: 'modelpart', path: 'lora' }]);
  });

  test('a layer that the config does not know, or knows otherwise, or that is missing', () => {
    const config = kitfile({ code: [{ path: 'a', digest: DIGESTS[0] }] });
    expect(() => readMade([{ type: 'code.v1.tar', digest: DIGESTS[1] }], config)).toThrow(invalid(DIGESTS[1]));
    expect(() => readMade([{ type: 'code.v1.tar' }, { type: 'code.v1.tar' }], config)).toThrow(invalid('does not know'));
    expect(() => readMade([{ type: 'model.v1.tar' }], config)).toThrow(invalid('model layer'));
    expect(() => readMade([], config)).toThrow(invalid('the manifest lacks'));
  });

  test('digests that are none', () => {
    expect(() => readMade([{ type: 'code.v1.tar' }], kitfile({ code: [{ path: 'a', digest: 'sha256:x' }] }))).toThrow(invalid('code a'));
    expect(() => readMade([{ type: 'code.v1.tar' }], kitfile({ code: [{ path: 'a', diffId: DIGESTS[0] }] }))).toThrow(invalid('code a'));
  });

  test.each(['other.v1.tar', 'model.v2.tar', 'model.v1.zip', 'model.v1.tar+xz', 'constructor.v1.tar'])(
    'a layer of type %s is not supported',
    (type) => {
      expect(() => readMade([{ type }], kitfile({}))).toThrow(
        expect.objectContaining({ code: 'UNSUPPORTED', message: expect.stringContaining(type) as unknown }),
      );
      expect(parseLayerType({ mediaType: type, digest: DIGESTS[0], size: 1 })).toBeUndefined();
    },
  );

  test('a config that is no JSON, no UTF-8 or no Kitfile', () => {
    const manifest: Manifest = { schemaVersion: 2, config: { mediaType: CONFIG, digest: DIGESTS[0], size: 1 }, layers: [] };
    for (const config of [Buffer.from('{'), Buffer.from([0x22, 0xff, 0x22]), Buffer.from('{"model":5}'), Buffer.from('[]')]) {
      expect(() => modelkit.read(manifest, config, 'the-name')).toThrow(invalid('the-name'));
    }
  });
});

describe('the damaged artifacts', () => {
  test('config-digest-mismatch', () => {
    expect(() => read('tampered/config-digest-mismatch')).toThrow(invalid('the-name'));
  });

  test('config-diffid-mismatch gives the diffId to check', () => {
    const [layer] = read('tampered/config-diffid-mismatch').artifact.layers;
    expect(layer?.diffId).toBeDefined();
    expect(layer?.diffId).not.toBe(layer?.descriptor.digest);
  });
});
