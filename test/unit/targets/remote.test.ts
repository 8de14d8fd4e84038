import { describe, expect, test } from 'vitest';
import { type BlobSource, bytesSource } from '../../../src/blob-source.ts';
import type { CallOptions, KitEvent } from '../../../src/events.ts';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import { addEmptyManifest, collect, connect, type Connection, emptyManifest, randomBlob } from '../../support/registry-client.ts';

const MiB = 1024 * 1024;
const OCTETS = 'application/octet-stream';

interface Pushing extends Connection {
  readonly events: KitEvent[];
  readonly push: (source: BlobSource) => Promise<Descriptor>;
}

async function pushing(...options: Parameters<typeof connect>): Promise<Pushing> {
  const connection = await connect(...options);
  const events: KitEvent[] = [];
  const call: CallOptions = { onEvent: (event) => void events.push(event) };
  return { ...connection, events, push: async (source) => await connection.target.can.pushUnhashed(OCTETS, source, call) };
}

const unsized = (bytes: Uint8Array): BlobSource => ({ size: undefined, open: () => bytesSource(bytes).open() });

describe('a blob without a digest', () => {
  test('is hashed first when that is nothing, and then not sent twice', async () => {
    const { push, registry, events } = await pushing();
    const { bytes, blob } = randomBlob(100_000);
    expect(await push(bytesSource(bytes))).toEqual(blob);
    expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD', 'POST', 'PUT']);
    registry.clear();
    expect(await push(bytesSource(bytes))).toEqual(blob);
    expect(registry.requests.map(({ method }) => method)).toEqual(['HEAD']);
    expect(events.map((event) => event.type === 'done' && event.outcome)).toEqual(['copied', 'exists']);
  });

  test('is read and sent in one pass when it is large', async () => {
    const { push, registry, target, events } = await pushing();
    const { bytes, blob } = randomBlob(9 * MiB);
    let opened = 0;
    const source: BlobSource = { size: bytes.byteLength, open: (range) => ((opened += 1), bytesSource(bytes).open(range)) };
    expect(await push(source)).toEqual(blob);
    expect(opened).toBe(1);
    expect(registry.requests.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'PUT']);
    expect(events).toContainEqual({ type: 'done', id: blob.digest, outcome: 'copied' });
    expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
  });

  test.each([
    ['known', (bytes: Uint8Array) => bytesSource(bytes)],
    ['not known', unsized],
  ])('is hashed first where the registry refuses streams, once it has said so; its size is %s', async (_size, sourceOf) => {
    const { push, registry, target } = await pushing();
    registry.behaviour.faults.push({ match: /^PATCH/, status: 405 });
    const [first, second] = [randomBlob(9 * MiB), randomBlob(9 * MiB)];
    expect(await push(sourceOf(first.bytes))).toEqual(first.blob);
    expect(await push(sourceOf(second.bytes))).toEqual(second.blob);
    const methods = registry.requests.map(({ method }) => method);
    expect(methods).toEqual(['POST', 'PATCH', 'DELETE', 'HEAD', 'POST', 'PUT', 'HEAD', 'POST', 'PUT']);
    expect(await target.has(first.blob)).toBe(true);
    expect((await collect(await target.fetch(second.blob))).equals(second.bytes)).toBe(true);
  });

  test('goes in small chunks where every large body is refused', async () => {
    const { push, registry, target } = await pushing({ behaviour: { maxPut: MiB } });
    registry.behaviour.faults.push({ match: /^PATCH/, status: 413 });
    const { bytes, blob } = randomBlob(20 * MiB);
    expect(await push(bytesSource(bytes))).toEqual(blob);
    expect(registry.requests.map(({ headers }) => headers['content-range']).filter((range) => range !== undefined)).toEqual([
      '0-16777215',
      '16777216-20971519',
    ]);
    expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
    expect(registry.storage.uploads.size).toBe(0);
  });
});

describe('a mount', () => {
  test.each([202, 400, 401, 403, 404, 500, 503])('that is answered with %i is no error', async (status) => {
    const { target, registry, delays } = await pushing();
    registry.behaviour.faults.push({ match: /^POST/, status, ...(status === 202 ? { headers: { Location: '/v2/x' } } : {}) });
    expect(await target.can.mount(randomBlob(10).blob, 'team/base')).toBe(false);
    expect(delays).toEqual([]);
  });

  test('that the token service refuses is no error', async () => {
    const { target, registry } = await pushing({ auth: { type: 'bearer', username: 'u', password: 'p' } }, (host) => ({
      credentials: { [host]: { username: 'u', password: 'p' } },
    }));
    registry.behaviour.faults.push({ match: /token/, status: 403 });
    expect(await target.can.mount(randomBlob(10).blob, 'team/base')).toBe(false);
  });

  test('is tried no more after many were refused', async () => {
    const { target, registry } = await pushing({ behaviour: { mounts: false } });
    for (let index = 0; index < 10; index++) expect(await target.can.mount(randomBlob(10).blob, 'team/base')).toBe(false);
    expect(registry.requests.filter(({ method }) => method === 'POST')).toHaveLength(6);
  });

  test('that is aborted says so', async () => {
    const { target } = await pushing();
    const reason = new Error('stop');
    await expect(target.can.mount(randomBlob(10).blob, 'team/base', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('a tag', () => {
  test('that is right already is left alone', async () => {
    const { target, registry } = await connect();
    const { blob } = await addEmptyManifest(registry, 'v1');
    await target.tag(blob, 'v1');
    expect(registry.log()).toEqual(['HEAD /v2/team/model/manifests/v1 -> 200']);
  });

  test.each(['missing', 'elsewhere', 'damaged'])('that is %s is set', async (state) => {
    const { target, registry } = await connect();
    const { blob } = await addEmptyManifest(registry);
    if (state === 'elsewhere') registry.addManifest('team/model', emptyManifest({ other: 'yes' }), 'v1');
    if (state === 'damaged') registry.behaviour.faults.push(...[1, 2].map(() => ({ match: /manifests\/v1/, status: 500 as const })));
    await target.tag(blob, 'v1');
    expect((await target.resolve('v1')).digest).toBe(blob.digest);
  });
});
