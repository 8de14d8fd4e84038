import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bytesSource } from '../../../src/blob-source.ts';
import { describe as describeBytes, type Descriptor } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { type ConvertArguments, convert } from '../../../src/operations/convert/convert.ts';
import { createKit } from '../../../src/operations/kit.ts';
import { loadArtifact } from '../../../src/operations/artifact/load-artifact.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { push } from '../../../src/operations/transfer/push.ts';
import { openLayout } from '../../../src/targets/layout.ts';
import { type RegistryOptions, startRegistry, type TestRegistry } from '../../support/registry.ts';
import { workspace } from './sandbox.ts';

/** Beyond what is held in memory, and what is hashed before it is sent. */
const LARGE = randomBytes(9 * 1024 * 1024);
const SMALL = Buffer.from('{"a":1}');

async function setting(options: RegistryOptions = {}) {
  const space = workspace();
  const registry = await startRegistry(options);
  const kit = createKit({
    home: space.home,
    env: { HOME: space.path('nobody') },
    network: { plainHttp: true, sleep: () => Promise.resolve() },
  });
  onTestFinished(async () => {
    await kit.close();
    await registry.close();
  });
  space.write({
    'src/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: weights}\n',
    'src/weights/m.safetensors': LARGE,
    'src/weights/config.json': SMALL,
  });
  const at = (...parts: string[]): string => space.path(...parts);
  const run = async (source: string, destination: string, args: Pick<ConvertArguments, 'to'> & Partial<ConvertArguments>) =>
    await convert(kit, { source: parseLocation(source), destination: parseLocation(destination), ...args }, space.call);
  const packed = async (compression: 'none' | 'gzip' = 'none') => {
    await pack(kit, { directory: space.path('src'), destination: parseLocation(`${registry.host}/team/m:v1`), compression });
  };
  return { at, kit, registry, run, packed, reference: `${registry.host}/team/m:v1` };
}

const blobIn = (registry: TestRegistry, digest: string): unknown => registry.storage.find('team/raw')?.blobs.has(digest as never);
const paths = ({ layers }: Awaited<ReturnType<typeof convert>>): string[] => layers.map(({ path, digest }) => `${path} ${digest}`);
const EXPECTED = [`weights/config.json ${digestOf(SMALL)}`, `weights/m.safetensors ${digestOf(LARGE)}`];

describe('files out of an archive', () => {
  test.each(['none', 'gzip'] as const)('(%s) go to a registry as they pass by, and again when the upload breaks', async (compression) => {
    const { packed, run, registry, reference } = await setting();
    await packed(compression);
    registry.behaviour.cutUploads.push(1024 * 1024);
    const result = await run(reference, `${registry.host}/team/raw:v1`, { to: 'modelpack', layerFormat: 'raw', fromLocal: true });
    expect(paths(result).toSorted()).toEqual(EXPECTED);
    expect(registry.behaviour.cutUploads).toEqual([]);
    expect(blobIn(registry, digestOf(LARGE))).toBe(true);
  });

  test('of which one byte is another are noticed at the end of the archive, and nothing is tagged', async () => {
    const { packed, run, registry, kit, reference, at } = await setting();
    await packed();
    await push(kit, { source: parseLocation(reference), destination: parseLocation(`oci:${at('out')}:v1`) });
    const { manifest } = await loadArtifact(await openLayout(at('out')), 'v1', 'out');
    const file = at('out/blobs', manifest.layers[0]?.digest.replace(':', '/') ?? '');
    const bytes = readFileSync(file);
    bytes[5_000_000] = (bytes[5_000_000] ?? 0) ^ 1;
    chmodSync(file, 0o644);
    writeFileSync(file, bytes);
    await expect(run(`oci:${at('out')}:v1`, `${registry.host}/team/raw:v1`, { to: 'omlmd' })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    });
    expect([...(registry.storage.find('team/raw')?.tags ?? [])]).toEqual([]);
    expect(registry.storage.find('team/raw')?.manifests.size ?? 0).toBe(0);
  });

  test('a member whose name is there twice is refused', async () => {
    const { at, run } = await setting();
    const { encodeTarHeader } = await import('../../../src/blobs/tar-header.ts');
    const entry = encodeTarHeader({ path: 'm.gguf', type: 'file', mode: 0o644, size: 0 });
    await madeKit(at('twice'), Buffer.concat([entry, entry, Buffer.alloc(1024)]));
    await expect(run(`oci:${at('twice')}:v1`, 'x:v1', { to: 'docker-model' })).rejects.toMatchObject({ code: 'UNSAFE_ENTRY' });
  });

  test('a link is refused', async () => {
    const { at, run } = await setting();
    const { encodeTarHeader, checksum } = await import('../../../src/blobs/tar-header.ts');
    const entry = encodeTarHeader({ path: 'm.gguf', type: 'file', mode: 0o644, size: 0 });
    entry.write('2', 156, 'latin1');
    entry.write(`${checksum(entry).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    await madeKit(at('link'), Buffer.concat([entry, Buffer.alloc(1024)]));
    for (const to of ['omlmd', 'modelcar'] as const)
      await expect(run(`oci:${at('link')}:v1`, 'x:v1', { to }), to).rejects.toMatchObject({ code: 'UNSAFE_ENTRY' });
  });
});

describe('a base image in the registry', () => {
  test('its layers are mounted from there, not sent', async () => {
    const { packed, run, registry, reference } = await setting();
    await packed();
    const layer = randomBytes(300_000);
    const config = Buffer.from(
      JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [digestOf(layer)] } }),
    );
    const blobs = [describeBytes('application/vnd.oci.image.layer.v1.tar', layer)];
    for (const bytes of [layer, config]) await registry.addBlob('library/base', bytes);
    const manifest = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.imageManifest,
      config: describeBytes(MEDIA_TYPE.imageConfig, config),
      layers: blobs,
    };
    registry.addManifest('library/base', Buffer.from(JSON.stringify(manifest)), '1');
    registry.clear();
    const base = parseLocation(`${registry.host}/library/base:1`);
    const { mounted } = await run(reference, `${registry.host}/team/raw:car`, { to: 'modelcar', fromLocal: true, modelcar: { base } });
    expect(mounted).toEqual({ count: 1, bytes: layer.byteLength });
    expect(registry.requests.filter(({ method, path }) => method === 'GET' && path.includes(digestOf(layer)))).toEqual([]);
    expect(blobIn(registry, digestOf(layer))).toBe(true);
  });
});

/** A ModelKit whose model is this archive. */
async function madeKit(directory: string, archive: Buffer): Promise<void> {
  const layout = await openLayout(directory, { create: true });
  const put = async (mediaType: string, bytes: Buffer): Promise<Descriptor> => {
    const blob = describeBytes(mediaType, bytes);
    await layout.push(blob, bytesSource(bytes));
    return blob;
  };
  const layer = await put('application/vnd.kitops.modelkit.model.v1.tar', archive);
  const kitfile = { manifestVersion: '1.0.0', package: {}, model: { path: '.', digest: layer.digest, diffId: layer.digest } };
  const config = await put('application/vnd.kitops.modelkit.config.v1+json', Buffer.from(JSON.stringify(kitfile)));
  const manifest = await put(MEDIA_TYPE.imageManifest, Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [layer] })));
  await layout.tag(manifest, 'v1');
}
