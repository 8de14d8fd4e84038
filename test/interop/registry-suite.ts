import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { bytesSource } from '../../src/blob-source.ts';
import { readVerified } from '../../src/blobs/verified.ts';
import { describe as descriptorOf, type Descriptor } from '../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../src/oci/media-types.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import type { NetworkOptions } from '../../src/registry/options.ts';
import { type RemoteRepository, remoteRepository } from '../../src/targets/remote.ts';
import { copyGoldenInput, sandbox } from '../support/kit.ts';
import { manifestContent } from '../support/referrer-manifest.ts';

const LIMIT = 64 * 1024 * 1024;
const MIB = 1024 * 1024;

interface Place {
  readonly host: string;
  close(): Promise<void>;
}

/** What real registries do differently. */
interface Quirks {
  /** DELETE of a tag leaves the manifest and its other tags. */
  readonly untags: boolean;
  /** HEAD of a blob that another repository has brings it along. */
  readonly sharesBlobs: boolean;
  /** What a manifest without its layers is refused with: some only say that it is invalid. */
  readonly missingLayer: 'BLOB_NOT_FOUND' | 'REGISTRY_ERROR';
}

export async function pushModel(target: RemoteRepository, layer: Uint8Array): Promise<{ manifest: Descriptor; bytes: Buffer }> {
  const config = descriptorOf(MEDIA_TYPE.emptyJson, Buffer.from('{}'));
  const blob = descriptorOf('application/octet-stream', layer);
  await target.push(config, bytesSource(Buffer.from('{}')));
  await target.push(blob, bytesSource(layer));
  const { bytes, blob: manifest } = manifestContent({ artifactType: 'application/x.test', layers: [blob] });
  await target.push(manifest, bytesSource(bytes));
  return { manifest, bytes };
}

function connect(options: NetworkOptions): RegistryClient {
  const other = createRegistryClient(options);
  onTestFinished(async () => await other.close());
  return other;
}

/** The tests that a registry without credentials has to pass, by the library and by the command line. */
export function registrySuite(start: () => Promise<Place>, quirks: Quirks): void {
  let registry: Place;
  let client: RegistryClient;
  beforeAll(async () => {
    registry = await start();
    client = createRegistryClient({});
  }, 60_000);
  afterAll(async () => {
    await client.close();
    await registry.close();
  });

  test.each([0, 1, 20 * MIB])('a blob of %i bytes comes back as it was sent', async (size) => {
    const target = remoteRepository(client, registry.host, 'round/trip');
    const content = randomBytes(size);
    const blob = descriptorOf('application/octet-stream', content);
    expect(await target.has(blob)).toBe(false);
    await target.push(blob, bytesSource(content));
    expect(await target.has(blob)).toBe(true);
    const read = await readVerified(await target.fetch(blob), blob, LIMIT);
    expect(read.equals(content)).toBe(true);
  });

  test('a range of a blob is that range', async () => {
    const target = remoteRepository(client, registry.host, 'round/range');
    const content = randomBytes(300_000);
    const blob = descriptorOf('application/octet-stream', content);
    await target.push(blob, bytesSource(content));
    const chunks: Uint8Array[] = [];
    for await (const chunk of await target.fetch(blob, { range: { start: 99_999, end: 200_001 } })) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(content.subarray(99_999, 200_001))).toBe(true);
  });

  test('a blob is sent in one pass, its digest unknown before', async () => {
    const target = remoteRepository(client, registry.host, 'round/stream');
    const content = randomBytes(12 * MIB);
    const blob = await target.can.pushUnhashed('application/octet-stream', bytesSource(content));
    expect(blob).toEqual(descriptorOf('application/octet-stream', content));
    expect((await readVerified(await target.fetch(blob), blob, LIMIT)).equals(content)).toBe(true);
  });

  test.each([MIB, 999_983])('an upload in chunks of %i bytes arrives whole', async (chunkSize) => {
    const target = remoteRepository(connect({ chunkSizes: { [registry.host]: chunkSize } }), registry.host, 'round/chunks');
    const content = randomBytes(5 * MIB);
    const blob = descriptorOf('application/octet-stream', content);
    await target.push(blob, bytesSource(content));
    const read = await readVerified(await target.fetch(blob), blob, LIMIT);
    expect(read.equals(content)).toBe(true);
  });

  test('a manifest is resolved by tag and digest, listed, and removed', async () => {
    const target = remoteRepository(client, registry.host, 'round/manifest');
    const { manifest, bytes } = await pushModel(target, randomBytes(1000));
    await target.tag(manifest, 'v1');
    await target.tag(manifest, 'v2');
    expect(await target.resolve('v1')).toEqual(manifest);
    expect(await target.resolve(manifest.digest)).toEqual(manifest);
    expect((await readVerified(await target.fetch(manifest), manifest, LIMIT)).equals(bytes)).toBe(true);
    expect((await Array.fromAsync(target.can.tags?.() ?? [])).toSorted()).toEqual(['v1', 'v2']);
    expect(await target.resolve('v2')).toEqual(manifest);
    await target.can.remove?.(manifest);
    await expect(target.resolve('v2')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    expect(await target.has(manifest)).toBe(false);
  });

  test.runIf(quirks.untags)('a tag is taken away alone', async () => {
    const target = remoteRepository(client, registry.host, 'untag/model');
    const { manifest } = await pushModel(target, randomBytes(10));
    for (const tag of ['v1', 'v2']) await target.tag(manifest, tag);
    await target.can.untag?.('v1');
    expect(await Array.fromAsync(target.can.tags?.() ?? [])).toEqual(['v2']);
    expect(await target.resolve('v2')).toEqual(manifest);
  });

  test.skipIf(quirks.untags)('that a tag cannot be taken away alone is said', async () => {
    const target = remoteRepository(client, registry.host, 'untag/model');
    const { manifest } = await pushModel(target, randomBytes(10));
    await target.tag(manifest, 'v1');
    await expect(target.can.untag?.('v1')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(await target.resolve('v1')).toEqual(manifest);
  });

  test('a blob is mounted from another repository', async () => {
    const source = remoteRepository(client, registry.host, 'mount/source');
    const target = remoteRepository(client, registry.host, 'mount/target');
    const content = randomBytes(1000);
    const blob = descriptorOf('application/octet-stream', content);
    await source.push(blob, bytesSource(content));
    expect(await target.has(blob)).toBe(quirks.sharesBlobs);
    expect(await target.can.mount(blob, 'mount/source')).toBe(true);
    expect((await readVerified(await target.fetch(blob), blob, LIMIT)).equals(content)).toBe(true);
    const other = descriptorOf('application/octet-stream', randomBytes(10));
    expect(await target.can.mount(other, 'mount/source')).toBe(false);
  });

  test('wrong content, a missing layer and missing things are told apart', async () => {
    const target = remoteRepository(client, registry.host, 'wrong/content');
    const blob = descriptorOf('application/octet-stream', Buffer.from('right'));
    await expect(target.push(blob, bytesSource(Buffer.from('wrong')))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(await target.has(blob)).toBe(false);
    await expect(target.fetch(blob)).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
    await expect(target.resolve('v1')).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      message: expect.stringContaining('v1') as unknown,
    });
    const { bytes, blob: manifest } = manifestContent({ layers: [blob] });
    await target.push(descriptorOf(MEDIA_TYPE.emptyJson, Buffer.from('{}')), bytesSource(Buffer.from('{}')));
    await expect(target.push(manifest, bytesSource(bytes))).rejects.toMatchObject({ code: quirks.missingLayer });
  });

  test('the catalog names repositories', async () => {
    await pushModel(remoteRepository(client, registry.host, 'in/catalog'), randomBytes(10));
    expect(await Array.fromAsync(client.catalog(registry.host))).toContain('in/catalog');
  });

  test('kit packs, pushes, lists, pulls, unpacks, tags and removes', async () => {
    const box = await sandbox();
    await copyGoldenInput(box.path('src'));
    const name = `${registry.host}/team/tiny`;
    const elsewhere = { env: { KIT_HOME: box.path('elsewhere') } };
    await box.ok('pack src -t tiny:v1');
    const { digest } = JSON.parse(await box.ok('inspect tiny:v1')) as { digest: string };
    await box.ok(`push tiny:v1 ${name}:v1,v2`);
    expect((await box.ok(`list ${name}`)).match(/\bv[12]\b/g)?.toSorted()).toEqual(['v1', 'v2']);
    expect(await box.ok(`pull ${name}:v1`, elsewhere)).toContain(digest);
    await box.ok(`unpack ${name}:v2 -d out`, { env: { KIT_HOME: box.path('third') } });
    const tree = await box.tree('out');
    expect(tree).toContain('weights/model-00001-of-00002.safetensors');
    // the text of the Kitfile comes back only where it was packed
    for (const path of tree.filter((one) => !one.endsWith('/') && one !== 'Kitfile'))
      expect(await readFile(box.path('out', path)), path).toEqual(await readFile(box.path('src', path)));
    // what is there already is not sent again, under whatever tag
    await box.ok(`push tiny:v1 ${name}:v3`);
    expect(JSON.parse(await box.ok(`inspect --remote ${name}:v3`))).toHaveProperty('digest', digest);
    await box.ok(`remove --remote ${name}@${digest}`);
    for (const tag of ['v1', 'v2', 'v3']) expect((await box.kit(`pull ${name}:${tag}`, elsewhere)).status).toBe(3);
  });
}
