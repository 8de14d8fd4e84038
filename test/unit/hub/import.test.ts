import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import type { parseManifest } from '../../../src/oci/manifest.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { importModel } from '../../../src/operations/import/import.ts';
import { inspect } from '../../../src/operations/inspect/inspect.ts';
import { createKit, type Kit } from '../../../src/operations/kit.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { printKitfile } from '../../../src/kitfile/print.ts';
import { unpack } from '../../../src/operations/unpack/unpack.ts';
import { gitBlobId, type HubRepository, sha256 } from '../../support/hub-server.ts';
import { startRegistry } from '../../support/registry.ts';
import type { Workspace } from '../operations/sandbox.ts';
import { MODEL, setup } from './setup.ts';

async function manifestOf(
  kit: Kit,
  name: string,
): Promise<{ layers: readonly Descriptor[]; annotations: Readonly<Record<string, string>> }> {
  const { manifest } = await inspect(kit, parseLocation(name), 'local');
  const { layers, annotations = {} } = manifest as unknown as ReturnType<typeof parseManifest>;
  return { layers, annotations };
}

/** The files of a repository as a download has them. */
function writeTo(directory: string, { files }: HubRepository): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true, mode: 0o755 });
    writeFileSync(join(directory, path), content, { mode: 0o644 });
  }
}

/** Puts a file where huggingface_hub would. */
function cache(space: Workspace, path: string, content: Buffer): void {
  const etag = path.endsWith('.safetensors')
    ? sha256(Buffer.from(MODEL.files[path] ?? ''))
    : gitBlobId(Buffer.from(MODEL.files[path] ?? ''));
  space.write({ [`hf/hub/models--Acme--Tiny-7B/blobs/${etag}`]: content });
}

describe('a model from the hub', () => {
  test('is what packing a downloaded copy gives, to the byte', async () => {
    const { run, space, kit } = await setup();
    const imported = await run({});
    const copy = space.path('copy');
    writeTo(copy, { ...MODEL, files: Object.fromEntries(Object.entries(MODEL.files).filter(([path]) => path !== '.gitattributes')) });
    const packed = await pack(kit, { directory: copy, kitfile: { text: printKitfile(imported.kitfile), file: 'Kitfile' } });
    expect(imported.layers.map(({ descriptor }) => descriptor)).toEqual(packed.layers.map(({ descriptor }) => descriptor));
    expect(imported.config.digest).toBe(packed.config.digest);
  });

  test('gets license, framework and format from card and config.json, and says where it comes from', async () => {
    const { run, hub, kit } = await setup();
    const { kitfile, reference, revision } = await run({});
    expect(reference).toBe('acme/tiny-7b:latest');
    expect(revision).toBe(hub.sha('Acme/Tiny-7B'));
    expect(kitfile.package).toEqual({ name: 'Tiny-7B', authors: ['Acme'] });
    expect(kitfile.model).toMatchObject({ license: 'Apache-2.0', framework: 'transformers', format: 'safetensors', name: 'Tiny-7B' });
    expect((await manifestOf(kit, 'acme/tiny-7b')).annotations).toEqual({
      'org.opencontainers.image.source': `${hub.url}/Acme/Tiny-7B`,
      'org.opencontainers.image.revision': hub.sha('Acme/Tiny-7B'),
    });
  });

  test('unpacks to the files of the hub', async () => {
    const { run, space, kit } = await setup();
    await run({});
    await unpack(kit, { source: parseLocation('acme/tiny-7b'), directory: space.path('out') });
    for (const [path, content] of Object.entries(MODEL.files).filter(([name]) => name !== '.gitattributes'))
      expect(readFileSync(space.path('out', path)).equals(Buffer.from(content)), path).toBe(true);
    expect(existsSync(space.path('out', '.gitattributes'))).toBe(false);
  });

  test('has raw layers with the digests that LFS gives', async () => {
    const { run, space, kit } = await setup();
    const { layers } = await run({ layerFormat: 'raw' });
    const weights = layers.filter(({ path }) => path.endsWith('.safetensors'));
    expect(weights.map(({ descriptor }) => descriptor.digest)).toEqual(
      ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'].map(
        (path) => `sha256:${sha256(Buffer.from(MODEL.files[path] ?? ''))}`,
      ),
    );
    expect(layers.every(({ descriptor }) => descriptor.mediaType.endsWith('.raw'))).toBe(true);
    await unpack(kit, { source: parseLocation('acme/tiny-7b'), directory: space.path('out') });
    expect(readFileSync(space.path('out', 'sub/dir/vocab.txt'), 'utf8')).toBe('a\nb\n');
  });

  test('asks for nothing twice: a second import fetches no weights', async () => {
    const { run, hub } = await setup();
    for (const layerFormat of ['tar', 'raw'] as const) {
      const first = await run({ layerFormat });
      hub.clear();
      const second = await run({ layerFormat });
      expect(second.digest).toBe(first.digest);
      expect(second.layers.every(({ existed }) => existed)).toBe(true);
      expect(hub.requests.filter(({ origin }) => origin === 'cdn')).toEqual([]);
    }
  });

  test('costs a request for the commit, one for the list, and one for each file', async () => {
    const { run, hub } = await setup();
    await run({ layerFormat: 'raw' });
    const files = Object.keys(MODEL.files).filter((path) => path !== '.gitattributes');
    // nothing is asked for an empty file; what LFS keeps is a redirect more
    expect(hub.requests.filter(({ origin }) => origin === 'hub')).toHaveLength(2 + files.length - 1);
    expect(hub.requests.filter(({ origin }) => origin === 'cdn')).toHaveLength(2);
  });

  test('is pinned by a commit, a tag, or the URL of a page', async () => {
    const { run, hub } = await setup([{ ...MODEL, revisions: ['v1', 'feature/x'] }]);
    const sha = hub.sha('Acme/Tiny-7B');
    for (const args of [
      { revision: sha },
      { revision: 'feature/x' },
      { source: 'hf://Acme/Tiny-7B@v1' },
      { source: `${hub.url}/Acme/Tiny-7B/tree/v1` },
    ])
      expect((await run(args)).revision).toBe(sha);
  });

  test('can be imported in part', async () => {
    const { run } = await setup();
    const { layers } = await run({ include: ['*.safetensors', 'sub/'], exclude: ['model-00002*'], layerFormat: 'raw' });
    expect(layers.map(({ path }) => path).toSorted()).toEqual(['model-00001-of-00002.safetensors', 'sub/dir/vocab.txt', 'sub/empty.txt']);
    await expect(run({ include: ['*.onnx'] })).rejects.toMatchObject({
      code: 'FILTER_UNMATCHED',
      message: expect.stringContaining('*.onnx') as string,
    });
  });

  test('takes the Kitfile of the user, or the one in the repository', async () => {
    const { run } = await setup([
      { ...MODEL, files: { ...MODEL.files, Kitfile: 'manifestVersion: 1.0.0\nmodel: {path: model-00002-of-00002.safetensors}\n' } },
    ]);
    expect((await run({})).layers.map(({ path }) => path)).toEqual(['model-00002-of-00002.safetensors']);
    const text = 'manifestVersion: 1.0.0\ndocs: [{path: README.md}]\n';
    expect((await run({ kitfile: { text, file: 'mine' } })).layers.map(({ path }) => path)).toEqual(['README.md']);
    await expect(run({ kitfile: { text: 'manifestVersion: 1.0.0\ndocs: [{path: NOTES.md}]\n', file: 'mine' } })).rejects.toMatchObject({
      code: 'PATH_NOT_FOUND',
    });
  });

  test('is found where it was moved to', async () => {
    const { run, hub } = await setup();
    hub.behaviour.renamed = { 'old/name': 'Acme/Tiny-7B' };
    await expect(run({ source: 'old/name' })).resolves.toMatchObject({ reference: 'old/name:latest' });
  });
});

describe('a dataset from the hub', () => {
  test('becomes datasets, code and docs', async () => {
    const { run } = await setup();
    const { kitfile, reference } = await run({ source: 'datasets/acme/questions' });
    expect(reference).toBe('acme/questions:latest');
    expect(kitfile).toMatchObject({ package: { name: 'questions', description: 'Questions' }, docs: [{ path: 'README.md' }] });
    expect(kitfile.model).toBeUndefined();
    expect(kitfile.code).toEqual([{ path: 'load.py' }]);
    expect(kitfile.datasets).toEqual([{ path: 'data', license: 'CC-BY-4.0' }]);
  });
});

describe('the cache of huggingface_hub', () => {
  test.each(['tar', 'raw'] as const)('is read instead of the hub, for %s layers', async (layerFormat) => {
    const { run, hub, space } = await setup();
    for (const [path, content] of Object.entries(MODEL.files)) cache(space, path, Buffer.from(content));
    await run({ layerFormat });
    expect(hub.log().filter((line) => line.includes('resolve'))).toEqual([]);
  });

  test.each(['tar', 'raw'] as const)('is not believed, for %s layers', async (layerFormat) => {
    const { run, space, kit } = await setup();
    const clean = await run({ layerFormat });
    for (const [path, content] of Object.entries(MODEL.files)) cache(space, path, Buffer.alloc(Buffer.from(content).byteLength, 1));
    const other = createKit({ home: space.path('other'), env: kit.env, network: { plainHttp: true } });
    onTestFinished(() => other.close());
    const again = await importModel(other, { source: 'Acme/Tiny-7B', layerFormat });
    expect(again.digest).toBe(clean.digest);
  });
});

describe('straight to a registry', () => {
  test.each(['tar', 'raw'] as const)('%s layers leave nothing here', async (layerFormat) => {
    const { run, space, kit } = await setup();
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    const pushed = await run({ layerFormat, push: true, destination: parseLocation(`${registry.host}/team/tiny:v1`) });
    expect(existsSync(space.home) ? readdirSync(space.home) : []).toEqual([]);
    const local = await run({ layerFormat });
    expect(pushed.digest).toBe(local.digest);
    await unpack(kit, { source: parseLocation(`${registry.host}/team/tiny:v1`), directory: space.path('out') });
    expect(readFileSync(space.path('out', 'config.json'), 'utf8')).toBe(MODEL.files['config.json']);
  });

  test('a large tar layer goes in parts, and is fetched once', async () => {
    const { hub, space, run } = await setup([{ id: 'acme/large', files: { 'a.safetensors': Buffer.alloc(10_000_000, 3) } }]);
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    const network = { plainHttp: true, chunkSizes: { [registry.host]: 3_000_000 } };
    const chunked = createKit({ home: space.home, env: { HF_ENDPOINT: hub.url, HF_HOME: space.path('hf') }, network });
    onTestFinished(() => chunked.close());
    const destination = parseLocation(`${registry.host}/team/large:v1`);
    const pushed = await importModel(chunked, { source: 'acme/large', push: true, destination });
    const ranges = hub.requests.filter(({ origin }) => origin === 'cdn').map(({ range }) => Number(/=(\d+)-/.exec(range ?? '=0-')?.[1]));
    expect(registry.requests.filter(({ method }) => method === 'PATCH').length).toBeGreaterThan(1);
    // each begins where the one before ended
    expect(new Set(ranges).size).toBe(ranges.length);
    expect((await run({ source: 'acme/large' })).digest).toBe(pushed.digest);
  });

  test.each(['tar', 'raw'] as const)('a registry is not sent %s layers that are not what LFS names', async (layerFormat) => {
    const { run, hub } = await setup();
    const registry = await startRegistry();
    onTestFinished(() => registry.close());
    hub.behaviour.tamper = (path, content) =>
      path === 'model-00002-of-00002.safetensors' ? Buffer.from(content).fill(0, 100, 101) : content;
    await expect(run({ layerFormat, push: true, destination: parseLocation(`${registry.host}/team/tiny:v1`) })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    });
    expect(registry.log().some((line) => line.startsWith('PUT') && line.includes('/manifests/'))).toBe(false);
  });
});

describe('a ModelPack', () => {
  test('has one raw layer for each file', async () => {
    const { run } = await setup();
    const { layers } = await run({ format: 'modelpack' });
    expect(layers.every(({ descriptor }) => descriptor.mediaType.endsWith('.raw'))).toBe(true);
    expect(layers.map(({ path }) => path)).toContain('model-00001-of-00002.safetensors');
  });
});
