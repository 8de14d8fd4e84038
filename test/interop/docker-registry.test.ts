import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bytesSource } from '../../src/blobs/source.ts';
import { readVerified } from '../../src/blobs/verified.ts';
import { describe as descriptorOf, type Descriptor } from '../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../src/oci/media-types.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { type RemoteRepository, remoteRepository } from '../../src/targets/remote.ts';
import { type DockerRegistry, hasDockerRegistry, startDockerRegistry } from '../support/docker-registry.ts';

const LIMIT = 64 * 1024 * 1024;
// alice / secret, bcrypt of cost 4
const HTPASSWD = 'alice:$2b$04$TTzApxSQvHVo1Ah31Xn5LuiEtY6qEOi2cxQVOnxe3rhh3soHyXnvK\n';

async function pushModel(target: RemoteRepository, layer: Uint8Array): Promise<{ manifest: Descriptor; bytes: Buffer }> {
  const config = descriptorOf(MEDIA_TYPE.emptyJson, Buffer.from('{}'));
  const blob = descriptorOf('application/octet-stream', layer);
  await target.push(config, bytesSource(Buffer.from('{}')));
  await target.push(blob, bytesSource(layer));
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, artifactType: 'application/x.test', config, layers: [blob] }),
  );
  const manifest = descriptorOf(MEDIA_TYPE.imageManifest, bytes);
  await target.push(manifest, bytesSource(bytes));
  return { manifest, bytes };
}

describe.skipIf(!hasDockerRegistry)('against docker-registry (CNCF Distribution)', () => {
  let registry: DockerRegistry;
  let client: RegistryClient;
  beforeAll(async () => {
    registry = await startDockerRegistry();
    client = createRegistryClient({});
  });
  afterAll(async () => {
    await client.close();
    await registry.close();
  });

  test.each([0, 1, 20 * 1024 * 1024])('a blob of %i bytes comes back as it was sent', async (size) => {
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

  test.each([1024 * 1024, 999_983])('an upload in chunks of %i bytes arrives whole', async (chunkSize) => {
    const chunked = createRegistryClient({ chunkSizes: { [registry.host]: chunkSize } });
    try {
      const target = remoteRepository(chunked, registry.host, 'round/chunks');
      const content = randomBytes(5 * 1024 * 1024);
      const blob = descriptorOf('application/octet-stream', content);
      await target.push(blob, bytesSource(content));
      const read = await readVerified(await target.fetch(blob), blob, LIMIT);
      expect(read.equals(content)).toBe(true);
    } finally {
      await chunked.close();
    }
  });

  test('a manifest is resolved by tag and digest, listed, and removed', async () => {
    const target = remoteRepository(client, registry.host, 'round/manifest');
    const { manifest, bytes } = await pushModel(target, randomBytes(1000));
    await target.tag(manifest, 'v1');
    await target.tag(manifest, 'v2');
    const { mediaType, digest, size } = manifest;
    expect(await target.resolve('v1')).toEqual({ mediaType, digest, size });
    expect(await target.resolve(digest)).toEqual({ mediaType, digest, size });
    expect((await readVerified(await target.fetch(manifest), manifest, LIMIT)).equals(bytes)).toBe(true);
    expect(await Array.fromAsync(target.can.tags?.() ?? [])).toEqual(['v1', 'v2']);
    await expect(target.can.untag?.('v1')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await target.can.remove?.(manifest);
    await expect(target.resolve('v1')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
    expect(await target.has(manifest)).toBe(false);
  });

  test('a blob is mounted from another repository', async () => {
    const source = remoteRepository(client, registry.host, 'mount/source');
    const target = remoteRepository(client, registry.host, 'mount/target');
    const content = randomBytes(1000);
    const blob = descriptorOf('application/octet-stream', content);
    await source.push(blob, bytesSource(content));
    expect(await target.has(blob)).toBe(false);
    expect(await target.can.mount?.(blob, 'mount/source')).toBe(true);
    expect(await target.has(blob)).toBe(true);
    const other = descriptorOf('application/octet-stream', randomBytes(10));
    expect(await target.can.mount?.(other, 'mount/source')).toBe(false);
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
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config: blob, layers: [] }));
    const manifest = descriptorOf(MEDIA_TYPE.imageManifest, bytes);
    await expect(target.push(manifest, bytesSource(bytes))).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
  });

  test('the catalog names repositories', async () => {
    await pushModel(remoteRepository(client, registry.host, 'in/catalog'), randomBytes(10));
    expect(await Array.fromAsync(client.catalog(registry.host))).toContain('in/catalog');
  });
});

describe.skipIf(!hasDockerRegistry)('against docker-registry with basic auth', () => {
  let registry: DockerRegistry;
  beforeAll(async () => {
    registry = await startDockerRegistry({ htpasswd: HTPASSWD });
  });
  afterAll(() => registry.close());

  async function use<T>(password: string | undefined, run: (client: RegistryClient) => Promise<T>): Promise<T> {
    const client = createRegistryClient(
      password === undefined ? {} : { credentials: { [registry.host]: { username: 'alice', password } } },
    );
    try {
      return await run(client);
    } finally {
      await client.close();
    }
  }

  test('the right password opens, a wrong one and none do not', async () => {
    await use('secret', (client) => client.ping(registry.host));
    await expect(use('wrong', (client) => client.ping(registry.host))).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await expect(use(undefined, (client) => client.ping(registry.host))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      hint: expect.stringContaining(`kit login ${registry.host}`) as unknown,
    });
  });

  test('a model is pushed and read with credentials', async () => {
    await use('secret', async (client) => {
      const target = remoteRepository(client, registry.host, 'private/model');
      const { manifest } = await pushModel(target, randomBytes(200_000));
      await target.tag(manifest, 'latest');
      expect((await target.resolve('latest')).digest).toBe(manifest.digest);
    });
  });
});
