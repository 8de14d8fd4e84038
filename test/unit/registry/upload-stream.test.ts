import { describe, expect, test } from 'vitest';
import { type BlobSource, type ByteRange, bytesSource } from '../../../src/blob-source.ts';
import { KitError } from '../../../src/errors.ts';
import type { CallOptions } from '../../../src/events.ts';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import type { NetworkOptions } from '../../../src/registry/options.ts';
import { collect, connect, type Connection, randomBlob } from '../../support/registry-client.ts';
import type { RegistryOptions, TestRegistry } from '../../support/registry.ts';

const MiB = 1024 * 1024;
const OCTETS = 'application/octet-stream';

interface Streaming extends Connection {
  readonly upload: (source: BlobSource, call?: CallOptions) => Promise<Descriptor | undefined>;
}

async function streaming(options?: RegistryOptions, network?: (host: string) => NetworkOptions): Promise<Streaming> {
  const connection = await connect(options, network);
  const repository = connection.client.repository(connection.registry.host, 'team/model');
  return { ...connection, upload: (source, call) => repository.uploadUnhashed(OCTETS, source, call) };
}

function methods(registry: TestRegistry): string[] {
  return registry.requests.map(({ method, status }) => `${method} ${status}`);
}

/** Gives `bytes` in pieces of `piece` bytes, and notes what is opened. */
function pieces(bytes: Uint8Array, piece: number, size: number | undefined = bytes.byteLength) {
  const opened: (ByteRange | undefined)[] = [];
  const source: BlobSource = {
    size,
    async *open(range) {
      opened.push(range);
      const end = range?.end ?? bytes.byteLength;
      for (let at = range?.start ?? 0; at < end; at += piece) yield bytes.subarray(at, Math.min(end, at + piece));
    },
  };
  return { source, opened };
}

/** As a compressed layer: nobody knows how large it becomes, and it can only be made from its beginning. */
const unsized = (bytes: Uint8Array, piece: number) => {
  const { source, opened } = pieces(bytes, piece);
  return { opened, source: { size: undefined, open: () => source.open() } satisfies BlobSource };
};

describe('a blob whose digest is not known', () => {
  test('goes in one PATCH with its length, then the digest', async () => {
    const { upload, registry, target } = await streaming();
    const { bytes, blob } = randomBlob(300_000);
    expect(await upload(pieces(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PUT 201']);
    expect(registry.requests[1]?.headers).toMatchObject({ 'content-length': '300000', 'content-type': OCTETS });
    expect(registry.requests[1]?.headers).not.toHaveProperty('content-range');
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
    expect(registry.storage.uploads.size).toBe(0);
  });

  test.each([0, 1, 300_000])('nor its size, here %i bytes: goes in pieces of HTTP', async (size) => {
    const { upload, registry, target } = await streaming();
    const { bytes, blob } = randomBlob(size);
    expect(await upload(unsized(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PUT 201']);
    expect(registry.requests[1]?.headers).toMatchObject(size === 0 ? { 'content-length': '0' } : { 'transfer-encoding': 'chunked' });
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test.each([0, 1])('of %i bytes', async (size) => {
    const { upload, target } = await streaming();
    const { bytes, blob } = randomBlob(size);
    expect(await upload(bytesSource(bytes))).toEqual(blob);
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test.each(['relative', 'absolute', 'foreign'] as const)('with a Location that is %s', async (location) => {
    const { upload, registry, target } = await streaming(
      { behaviour: { location }, auth: { type: 'basic', username: 'u', password: 'p' } },
      (host) => ({ credentials: { [host]: { username: 'u', password: 'p' } } }),
    );
    const { bytes, blob } = randomBlob(300_000);
    expect(await upload(pieces(bytes, 70_000).source)).toEqual(blob);
    for (const { origin, headers } of registry.requests.filter(({ method }) => method === 'PATCH' || method === 'PUT')) {
      expect(origin).toBe(location === 'foreign' ? 'foreign' : 'registry');
      expect(headers.authorization !== undefined).toBe(location !== 'foreign');
    }
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test.each([99_999, 100_001])('whose source has %i bytes instead of 100000 is refused here', async (size) => {
    const { upload, registry } = await streaming();
    await expect(upload(pieces(randomBlob(size).bytes, 30_000, 100_000).source)).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    expect(registry.storage.uploads.size).toBe(0);
  });

  test('whose source fails ends with that error, and the session is cancelled', async () => {
    const { upload, registry } = await streaming();
    const failure = new KitError('SOURCE_CHANGED', 'model.bin: changed');
    const source: BlobSource = {
      size: MiB,
      async *open() {
        yield Buffer.alloc(1000);
        throw failure;
      },
    };
    await expect(upload(source)).rejects.toBe(failure);
    expect(registry.log()).toContain('DELETE /v2/team/model/blobs/uploads/ID -> 204');
    expect(registry.storage.uploads.size).toBe(0);
  });

  test('that is aborted rejects with the reason and cancels its session', async () => {
    const { upload, registry } = await streaming();
    const controller = new AbortController();
    const reason = new Error('stop');
    const source: BlobSource = {
      size: 4 * MiB,
      async *open() {
        yield Buffer.alloc(MiB);
        controller.abort(reason);
        yield Buffer.alloc(3 * MiB);
      },
    };
    await expect(upload(source, { signal: controller.signal })).rejects.toBe(reason);
    expect(registry.storage.uploads.size).toBe(0);
  });

  test('goes in parts to a host that wants chunks', async () => {
    const { upload, registry, target } = await streaming({}, (host) => ({ chunkSizes: { [host]: 100_000 } }));
    const { bytes, blob } = randomBlob(250_000);
    const { source, opened } = pieces(bytes, 70_000);
    expect(await upload(source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PATCH 202', 'PATCH 202', 'PUT 201']);
    expect(registry.requests.map(({ headers }) => headers['content-range']).slice(1, 4)).toEqual([
      '0-99999',
      '100000-199999',
      '200000-249999',
    ]);
    expect(opened).toHaveLength(3);
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test('of which a part breaks loses no part before it', async () => {
    const { upload, registry, target } = await streaming({}, (host) => ({ chunkSizes: { [host]: 100_000 } }));
    const { bytes, blob } = randomBlob(250_000);
    registry.behaviour.faults.push({ match: /^PATCH.*state=2/, status: 'reset' });
    expect(await upload(pieces(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PATCH 0', 'GET 204', 'PATCH 202', 'PATCH 202', 'PUT 201']);
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test('goes as a whole after all where the second part is refused', async () => {
    const { upload, registry, target } = await streaming({}, (host) => ({ chunkSizes: { [host]: 100_000 } }));
    const { bytes, blob } = randomBlob(250_000);
    registry.behaviour.faults.push({ match: /^PATCH.*state=2/, status: 405 });
    expect(await upload(pieces(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PATCH 405', 'POST 202', 'PATCH 202', 'PUT 201']);
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test('nor its size is not streamed to a host that wants chunks', async () => {
    const { upload, registry } = await streaming({}, (host) => ({ chunkSizes: { [host]: 1000 } }));
    expect(await upload(unsized(randomBlob(5000).bytes, 1000).source)).toBeUndefined();
    expect(registry.requests).toEqual([]);
  });
});

describe('what breaks', () => {
  test('goes on where the registry says it is: nothing is sent or hashed twice', async () => {
    const { upload, registry, target, delays } = await streaming({ behaviour: { cutUploads: [5 * MiB] } });
    const { bytes, blob } = randomBlob(12 * MiB);
    const { source, opened } = pieces(bytes, MiB);
    expect(await upload(source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 0', 'GET 204', 'PATCH 202', 'PUT 201']);
    expect(opened).toEqual([undefined, { start: 5 * MiB, end: 12 * MiB }]);
    expect(registry.requests[3]?.headers).toMatchObject({
      'content-range': `${5 * MiB}-${12 * MiB - 1}`,
      'content-length': String(7 * MiB),
    });
    expect(registry.requests[3]?.received).toBe(7 * MiB);
    expect(delays).toHaveLength(1);
    expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
  });

  test('may break again, as often as there is progress', async () => {
    const cutUploads = Array.from({ length: 7 }, () => 2 * MiB);
    const { upload, registry, target } = await streaming({ behaviour: { cutUploads } });
    const { bytes, blob } = randomBlob(16 * MiB + 1);
    expect(await upload(pieces(bytes, 300_000).source)).toEqual(blob);
    expect(registry.requests.filter(({ method }) => method === 'PATCH')).toHaveLength(8);
    expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
  });

  test('starts over in a new session when its size is not known', async () => {
    const { upload, registry, target } = await streaming({ behaviour: { cutUploads: [200_000] } });
    const { bytes, blob } = randomBlob(3 * MiB);
    expect(await upload(unsized(bytes, 100_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 0', 'DELETE 204', 'POST 202', 'PATCH 202', 'PUT 201']);
    expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
    expect(registry.storage.uploads.size).toBe(0);
  });

  test('and starts over gets the digest of what was sent then', async () => {
    const { upload, target } = await streaming({ behaviour: { cutUploads: [200_000] } });
    const [first, second] = [randomBlob(3 * MiB), randomBlob(3 * MiB)];
    const versions = [first.bytes, second.bytes];
    const source: BlobSource = { size: undefined, open: () => bytesSource(versions.shift() ?? Buffer.alloc(0)).open() };
    expect(await upload(source)).toEqual(second.blob);
    expect(await target.has(second.blob)).toBe(true);
  });

  test('with nothing arrived starts over', async () => {
    const { upload, registry, target } = await streaming();
    registry.behaviour.faults.push({ match: /^PATCH/, status: 'reset' });
    const { bytes, blob } = randomBlob(300_000);
    expect(await upload(pieces(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 0', 'GET 204', 'DELETE 204', 'POST 202', 'PATCH 202', 'PUT 201']);
    expect(await target.has(blob)).toBe(true);
  });

  test('goes on after an acknowledgement of less than was sent', async () => {
    const { upload, registry, target } = await streaming({ behaviour: { shortenChunks: [100_000] } });
    const { bytes, blob } = randomBlob(300_000);
    expect(await upload(pieces(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'GET 204', 'PATCH 202', 'PUT 201']);
    expect(registry.requests[3]?.headers['content-range']).toBe('100000-299999');
    expect(await collect(await target.fetch(blob))).toEqual(bytes);
  });

  test('starts over after such an acknowledgement when its size is not known', async () => {
    const { upload, registry } = await streaming({ behaviour: { shortenChunks: [100_000] } });
    const { bytes, blob } = randomBlob(300_000);
    expect(await upload(unsized(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'DELETE 204', 'POST 202', 'PATCH 202', 'PUT 201']);
  });

  test.each([
    ['while it is sent', { match: /^PATCH/, status: 404 }, ['POST 202', 'PATCH 404', 'POST 202', 'PATCH 202', 'PUT 201']],
    ['at the end', { match: /^PUT/, status: 404 }, ['POST 202', 'PATCH 202', 'PUT 404', 'POST 202', 'PATCH 202', 'PUT 201']],
  ])('because the session has expired %s is sent anew', async (_when, fault, expected) => {
    const { upload, registry, target } = await streaming();
    registry.behaviour.faults.push(fault);
    const { bytes, blob } = randomBlob(300_000);
    expect(await upload(pieces(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(expected);
    expect(await target.has(blob)).toBe(true);
  });

  test('and whose session is gone when it is asked for is sent anew', async () => {
    const { upload, registry } = await streaming({ behaviour: { cutUploads: [100_000] } });
    registry.behaviour.faults.push({ match: /^GET.*uploads/, status: 404 });
    const { bytes, blob } = randomBlob(300_000);
    expect(await upload(pieces(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 0', 'GET 404', 'DELETE 204', 'POST 202', 'PATCH 202', 'PUT 201']);
  });

  test('with 503 waits as long as it is told', async () => {
    const { upload, registry, delays } = await streaming();
    registry.behaviour.faults.push({ match: /^PATCH/, status: 503, headers: { 'Retry-After': '7' } });
    const { bytes, blob } = randomBlob(300_000);
    expect(await upload(pieces(bytes, 70_000).source)).toEqual(blob);
    expect(delays).toEqual([7000]);
  });

  test.each(['known', 'unknown'])('at the last request, of a size that is %s, repeats only that', async (size) => {
    const { upload, registry } = await streaming();
    registry.behaviour.faults.push({ match: /^PUT/, status: 503 });
    const { bytes, blob } = randomBlob(300_000);
    expect(await upload((size === 'known' ? pieces : unsized)(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PUT 503', 'HEAD 404', 'PUT 201']);
  });

  test('after the blob was stored is no failure', async () => {
    const { bytes, blob } = randomBlob(300_000);
    const connected = Promise.withResolvers<Streaming>();
    const sleep = async (): Promise<void> => {
      const { registry } = await connected.promise;
      await registry.addBlob('team/model', bytes);
    };
    const connection = await streaming({}, () => ({ sleep }));
    connected.resolve(connection);
    const { upload, registry } = connection;
    registry.behaviour.faults.push({ match: /^PUT/, status: 'reset' });
    expect(await upload(pieces(bytes, 70_000).source)).toEqual(blob);
    expect(methods(registry)).toEqual(['POST 202', 'PATCH 202', 'PUT 0', 'HEAD 200']);
  });

  test('because the token has expired is sent with a new one', async () => {
    const { upload, registry, target, delays } = await streaming({ auth: { type: 'bearer', username: 'u', password: 'p' } }, (host) => ({
      credentials: { [host]: { username: 'u', password: 'p' } },
    }));
    const { bytes, blob } = randomBlob(6 * MiB);
    const { source, opened } = pieces(bytes, MiB);
    const revoking: BlobSource = {
      size: source.size,
      open: (range) => {
        if (opened.length === 0) registry.auth.revokeTokens();
        return source.open(range);
      },
    };
    expect(await upload(revoking)).toEqual(blob);
    expect(
      methods(registry)
        .filter((line) => line.startsWith('PATCH'))
        .at(-1),
    ).toBe('PATCH 202');
    expect(registry.requests.some(({ method, status }) => method === 'PATCH' && status === 401)).toBe(true);
    // with the answer lost behind the broken connection it is an ordinary retry
    expect(delays.length).toBeLessThanOrEqual(1);
    expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
  });

  test('time and again is given up, and the session cancelled', async () => {
    const { upload, registry, delays } = await streaming();
    registry.behaviour.faults.push(...Array.from({ length: 9 }, () => ({ match: /^PATCH/, status: 503 as const })));
    await expect(upload(pieces(randomBlob(300_000).bytes, 70_000).source)).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
    expect(delays).toHaveLength(8);
    expect(registry.storage.uploads.size).toBe(0);
  });
});

describe('a registry that is wrong', () => {
  test('about the digest of what it received', async () => {
    const { upload, registry } = await streaming();
    const body = '{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match uploaded content"}]}';
    registry.behaviour.faults.push({ match: /^PUT/, status: 400, body });
    await expect(upload(bytesSource(randomBlob(300_000).bytes))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    expect(registry.storage.uploads.size).toBe(0);
  });

  test('about the digest of what it stored', async () => {
    const { upload, registry } = await streaming();
    registry.behaviour.faults.push({ match: /^PUT/, status: 201, headers: { 'Docker-Content-Digest': digestOf(Buffer.from('other')) } });
    await expect(upload(bytesSource(randomBlob(300_000).bytes))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  test.each(['0-999999999', '5-10', 'all'])('about how much has arrived: `%s`', async (range) => {
    const { upload, registry } = await streaming();
    registry.behaviour.faults.push({ match: /^PATCH/, status: 202, headers: { Range: range } });
    await expect(upload(bytesSource(randomBlob(300_000).bytes))).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
    expect(registry.storage.uploads.size).toBe(0);
  });

  test('about where the upload is', async () => {
    const { upload } = await streaming({ behaviour: { location: 'ftp://elsewhere' } });
    await expect(upload(bytesSource(randomBlob(300_000).bytes))).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
  });

  test.each([400, 405, 411, 413, 501])('for a stream, with %i, is told apart, and the session cancelled', async (status) => {
    const { upload, registry } = await streaming();
    registry.behaviour.faults.push({ match: /^PATCH/, status });
    expect(await upload(bytesSource(randomBlob(300_000).bytes))).toBeUndefined();
    expect(methods(registry)).toEqual(['POST 202', `PATCH ${status}`, 'DELETE 204']);
    expect(registry.storage.uploads.size).toBe(0);
  });
});
