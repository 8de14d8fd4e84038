import { describe, expect, test } from 'vitest';
import { modelpack } from '../../../src/formats/modelpack.ts';
import { formatOf } from '../../../src/formats/registry.ts';
import { type Digest, digestOf } from '../../../src/oci/digest.ts';
import { isIndexType } from '../../../src/oci/media-types.ts';
import { type Manifest, parseIndex, parseManifest } from '../../../src/oci/manifest.ts';
import { loadIndex, loadManifest, readBlob } from '../../support/golden-layout.ts';

const PREFIX = 'application/vnd.cncf.model';
const DIGEST = digestOf(Buffer.from('a'));

function read(layout: string, manifest = loadManifest(layout)) {
  expect(formatOf(manifest)).toBe(modelpack);
  return modelpack.read(manifest, readBlob(layout, manifest.config), 'the-name');
}

const FILES = [
  ['modelpart', 'config.json'],
  ['modelpart', 'tokenizer.json'],
  ['modelpart', 'weights/model.safetensors.index.json'],
  ['model', 'weights/model-00001-of-00002.safetensors'],
  ['model', 'weights/model-00002-of-00002.safetensors'],
  ['code', 'a..b.txt'],
  ['code', 'src/lib/deep/er/util.py'],
  ['code', 'src/main.py'],
  ['code', 'src/run.sh'],
  ['docs', 'LICENSE'],
  ['docs', 'README.md'],
  ['docs', 'docs/usage.md'],
  ['docs', 'docs/Überblick-模型.md'],
];

describe('artifacts of modctl', () => {
  test('raw layers are one file each', () => {
    const { layers } = read('modctl-raw');
    expect(layers.map(({ role, path }) => [role, path])).toEqual(FILES);
    for (const layer of layers) {
      const isScript = layer.path === 'src/run.sh';
      const { digest } = layer.descriptor;
      expect(layer).toMatchObject({
        encoding: 'raw',
        compression: 'none',
        target: layer.path,
        mode: isScript ? 0o755 : 0o644,
        diffId: digest,
      });
    }
  });

  test('tar layers bring their path along', () => {
    const { layers } = read('modctl-tar');
    expect(layers.map(({ role, path }) => [role, path])).toEqual(FILES);
    for (const layer of layers) expect(layer).toMatchObject({ encoding: 'tar', target: '', diffId: layer.descriptor.digest });
  });

  test('a Kitfile is derived from layers and config', () => {
    expect(read('modctl-raw').kitfile).toMatchObject({
      manifestVersion: '1.0.0',
      package: { name: 'tiny-golden' },
      model: {
        name: 'tiny-golden',
        path: 'weights/model-00001-of-00002.safetensors',
        format: 'safetensors',
        parts: [
          { path: 'weights/model-00002-of-00002.safetensors' },
          { path: 'config.json' },
          { path: 'tokenizer.json' },
          { path: 'weights/model.safetensors.index.json' },
        ],
      },
      code: [{ path: 'a..b.txt' }, { path: 'src/lib/deep/er/util.py' }, { path: 'src/main.py' }, { path: 'src/run.sh' }],
    });
  });
});

test('olot: the ModelPack beside an image, with titles for paths and bare diffIds', () => {
  const tagged = loadIndex('modelcar-olot').manifests.find(({ mediaType }) => isIndexType(mediaType));
  const inner = parseIndex(readBlob('modelcar-olot', tagged!), 'index').manifests.find(
    ({ annotations }) => annotations?.['io.opendatahub.modelcar.manifest.type'] === 'modelpack',
  );
  const manifest = parseManifest(readBlob('modelcar-olot', inner!), 'modelpack');
  const { layers } = read('modelcar-olot', manifest);
  expect(layers.map(({ role, path, encoding, compression, target }) => [role, path, encoding, compression, target])).toEqual([
    ['model', 'config.json', 'tar', 'none', ''],
    ['model', 'tokenizer.json', 'tar', 'none', ''],
    ['model', 'model-00001-of-00002.safetensors', 'tar', 'none', ''],
    ['model', 'model-00002-of-00002.safetensors', 'tar', 'none', ''],
    ['docs', 'README.md', 'tar', 'gzip', ''],
  ]);
  for (const layer of layers.slice(0, 4)) expect(layer.diffId).toBe(layer.descriptor.digest);
  expect(layers[4]?.diffId).toMatch(/^sha256:\w{64}$/);
});

test.each([
  ['filepath-clean', ['w/model.bin']],
  ['filepath-dotdot', ['../evil.txt']],
  ['filepath-absolute', ['/kit-golden-evil.txt']],
  ['filepath-duplicate', ['w/model.bin', './w/model.bin']],
])('%s: paths are handed on as they are, for the check before the download', (name, expected) => {
  const targets = read(`tampered/${name}`).layers.map(({ target }) => target);
  for (const target of expected) expect(targets).toContain(target);
});

interface Made {
  readonly type?: string;
  readonly annotations?: Record<string, string>;
  readonly config?: unknown;
  readonly manifestAnnotations?: Record<string, string>;
}

function readMade({ type = 'weight.v1.raw', annotations = { 'org.cncf.model.filepath': 'a' }, config = {}, ...rest }: Made) {
  const manifest: Manifest = {
    schemaVersion: 2,
    config: { mediaType: `${PREFIX}.config.v1+json`, digest: DIGEST, size: 1 },
    layers: [{ mediaType: type.includes('/') ? type : `${PREFIX}.${type}`, digest: DIGEST, size: 1, annotations }],
    ...(rest.manifestAnnotations && { annotations: rest.manifestAnnotations }),
  };
  const bytes = config instanceof Uint8Array ? config : Buffer.from(JSON.stringify(config));
  return modelpack.read(manifest, bytes, 'the-name');
}

const code = (name: string) => expect.objectContaining({ code: name, message: expect.stringContaining('the-name') as unknown }) as unknown;

const kitfileWithCode = (path: string) => JSON.stringify({ manifestVersion: '1.0.0', package: {}, code: [{ path }] });

function diffIds(ids: string[]): Digest | undefined {
  return readMade({ config: { modelfs: { type: 'layers', diffIds: ids } } }).layers[0]?.diffId;
}

describe('reading', () => {
  test('the names from before the CNCF', () => {
    const { layers } = readMade({ type: 'application/vnd.cnai.model.doc.v1.tar+zstd', annotations: { 'org.cnai.model.filepath': 'x' } });
    expect(layers).toMatchObject([{ role: 'docs', compression: 'zstd', path: 'x' }]);
    const manifest = loadManifest('modctl-raw');
    expect(modelpack.detect({ ...manifest, artifactType: 'application/vnd.cnai.model.manifest.v1+json' })).toBe(true);
  });

  test('single files of Docker', () => {
    expect(readMade({ type: 'weight.v1.gguf' }).layers).toMatchObject([{ role: 'model', encoding: 'raw' }]);
  });

  test('KitOps keeps the Kitfile in an annotation, whose entries name the layers', () => {
    const kitfile = {
      manifestVersion: '1.0.0',
      package: { name: 'p' },
      prompts: [{ name: 'hello', path: 'dir/a', digest: DIGEST, diffId: DIGEST }],
    };
    const artifact = readMade({ type: 'code.v1.raw', manifestAnnotations: { 'ml.kitops.modelkit.kitfile': JSON.stringify(kitfile) } });
    expect(artifact.kitfile?.package.name).toBe('p');
    expect(artifact.layers).toMatchObject([{ role: 'prompt', name: 'hello', path: 'dir/a', target: 'a' }]);
    expect(() => readMade({ manifestAnnotations: { 'ml.kitops.modelkit.kitfile': '{' } })).toThrow(code('MANIFEST_INVALID'));
  });

  test('diffIds that are none count as absent', () => {
    expect(diffIds([DIGEST])).toBe<Digest>(DIGEST);
    expect(diffIds([DIGEST.slice('sha256:'.length)])).toBe<Digest>(DIGEST);
    expect(diffIds(['nonsense'])).toBeUndefined();
    expect(diffIds([])).toBeUndefined();
  });

  test('a config that counts other layers than the manifest', () => {
    expect(() => diffIds([DIGEST, DIGEST])).toThrow(code('MANIFEST_INVALID'));
    const two = { modelfs: { type: 'layers', diffIds: [DIGEST] } };
    const manifest = loadManifest('modctl-raw');
    expect(() => modelpack.read(manifest, Buffer.from(JSON.stringify(two)), 'the-name')).toThrow(code('MANIFEST_INVALID'));
  });

  test('a Kitfile as a layer, as older KitOps had it, is no file', () => {
    expect(readMade({ type: 'application/vnd.kitops.modelkit.config.v1+json', annotations: {} }).layers).toEqual([]);
  });

  test("the author's Kitfile goes before the one that was spelled out for KitOps", () => {
    const manifestAnnotations = { 'ml.kitops.modelkit.kitfile': kitfileWithCode('src/a'), 'dev.ocikit.kitfile': kitfileWithCode('./src/') };
    const { kitfile, layers } = readMade({ type: 'code.v1.raw', annotations: { 'org.cncf.model.filepath': 'src/a' }, manifestAnnotations });
    expect(kitfile?.code).toEqual([{ path: './src/' }]);
    expect(layers).toMatchObject([{ role: 'code', path: 'src/a', within: './src/', target: 'src/a' }]);
  });

  test.each([
    ['no Kitfile', '[]'],
    ['a field of the wrong type', '{"model":5}'],
    ['a digest that is none', '{"code":[{"path":"a","digest":"sha256:x"}]}'],
    ['deep nesting', `{"model":{"parameters":${'['.repeat(5000)}${']'.repeat(5000)}}}`],
  ])('an annotation that holds %s', (_, text) => {
    for (const key of ['ml.kitops.modelkit.kitfile', 'dev.ocikit.kitfile'])
      expect(() => readMade({ manifestAnnotations: { [key]: text } }), key).toThrow(code('MANIFEST_INVALID'));
  });

  test('paths of a Kitfile say nothing about where a file goes', () => {
    const kitfile = { code: [{ path: '../../evil', digest: DIGEST }] };
    const { layers } = readMade({ type: 'code.v1.raw', manifestAnnotations: { 'ml.kitops.modelkit.kitfile': JSON.stringify(kitfile) } });
    expect(layers).toMatchObject([{ path: '../../evil', target: 'a' }]);
  });

  test('what it cannot use is named', () => {
    expect(() => readMade({ type: 'weight.v1.zip' })).toThrow(code('UNSUPPORTED'));
    expect(() => readMade({ type: 'constructor.v1.raw' })).toThrow(code('UNSUPPORTED'));
    expect(() => readMade({ annotations: {} })).toThrow(code('UNSUPPORTED'));
    expect(() => readMade({ config: { descriptor: { name: 5 } } })).toThrow(code('MANIFEST_INVALID'));
    expect(() => readMade({ config: Buffer.from('{') })).toThrow(code('MANIFEST_INVALID'));
    expect(() => readMade({ config: Buffer.from([0x22, 0xff, 0x22]) })).toThrow(code('MANIFEST_INVALID'));
  });
});
