import { describe, expect, test } from 'vitest';
import { readVerified } from '../../../src/blobs/verified.ts';
import type { KitEvent } from '../../../src/events.ts';
import { addEmptyManifest, collect, connect as connectTo, randomBlob } from '../../support/registry-client.ts';
import { startRegistry } from '../../support/registry.ts';

const SIZE = 300_000;
const credentials = (host: string) => ({ credentials: { [host]: { username: 'u', password: 'p' } } });
const auth = { type: 'basic', username: 'u', password: 'p' } as const;

// both ways to read a body give the same guarantees
describe.each(['socket', 'parser'] as const)('with bodies read by %s', (bodyReader) => {
  const connect: typeof connectTo = async (options, network) => await connectTo(options, (host) => ({ bodyReader, ...network?.(host) }));

  async function withBlob(options: Parameters<typeof connect>[0] = {}) {
    const connection = await connect(options);
    const content = randomBlob(SIZE);
    await connection.registry.addBlob('team/model', content.bytes);
    return { ...connection, ...content };
  }

  describe('blobs', () => {
    test('are known by HEAD and read by GET', async () => {
      const { target, registry, blob, bytes } = await withBlob();
      expect(await target.has(blob)).toBe(true);
      expect(await target.has(randomBlob(10).blob)).toBe(false);
      expect(await collect(await target.fetch(blob))).toEqual(bytes);
      expect(registry.log()).toEqual([
        'HEAD /v2/team/model/blobs/DIGEST -> 200',
        'HEAD /v2/team/model/blobs/DIGEST -> 404',
        'GET /v2/team/model/blobs/DIGEST -> 200',
      ]);
    });

    test('that are missing are an error that names registry, digest and status', async () => {
      const { target, registry } = await connect();
      const { blob } = randomBlob(10);
      await expect(target.fetch(blob)).rejects.toMatchObject({
        code: 'BLOB_NOT_FOUND',
        message: `${registry.host}/team/model@${blob.digest}: not found in the registry (GET ${registry.url}/v2/team/model/blobs/${blob.digest}: 404 BLOB_UNKNOWN: blob unknown to registry)`,
      });
    });

    test('of zero bytes are asked for, so that a missing one is noticed', async () => {
      const { target, registry } = await connect();
      const { blob, bytes } = randomBlob(0);
      await expect(target.fetch(blob)).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
      await registry.addBlob('team/model', bytes);
      expect(await collect(await target.fetch(blob))).toEqual(bytes);
    });

    test('of another size than their descriptor are refused at once', async () => {
      const { target, blob } = await withBlob();
      await expect(target.fetch({ ...blob, size: SIZE - 1 })).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
      await expect(target.fetch({ ...blob, size: SIZE + 1 })).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
    });

    test('that the registry has changed do not pass a verifying reader', async () => {
      const { target, registry, blob } = await withBlob();
      await registry.storage.replaceBlob(blob.digest, randomBlob(SIZE).bytes);
      await expect(readVerified(await target.fetch(blob), blob, SIZE)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    });
  });

  describe('ranges', () => {
    const RANGES = [
      { start: 0, end: 1 },
      { start: 99_999, end: 200_001 },
      { start: SIZE - 1, end: SIZE },
      { start: 0, end: SIZE },
      { start: 100, end: SIZE + 100 },
    ];

    test.each(RANGES)('$start-$end from a registry that knows ranges', async (range) => {
      const { target, blob, bytes } = await withBlob();
      expect(await collect(await target.fetch(blob, { range }))).toEqual(bytes.subarray(range.start, range.end));
    });

    test.each(RANGES)('$start-$end from a registry that ignores them', async (range) => {
      const { target, blob, bytes } = await withBlob({ behaviour: { ranges: false } });
      expect(await collect(await target.fetch(blob, { range }))).toEqual(bytes.subarray(range.start, range.end));
    });

    test('an empty range costs no request', async () => {
      const { target, registry, blob } = await withBlob();
      expect(await collect(await target.fetch(blob, { range: { start: 5, end: 5 } }))).toEqual(Buffer.alloc(0));
      expect(await collect(await target.fetch(blob, { range: { start: SIZE, end: SIZE + 5 } }))).toEqual(Buffer.alloc(0));
      expect(registry.requests).toEqual([]);
    });

    test('an answer with another range is refused', async () => {
      const { target, blob } = await withBlob({ behaviour: { wrongContentRange: true } });
      await expect(target.fetch(blob, { range: { start: 10, end: 20 } })).rejects.toMatchObject({
        code: 'REGISTRY_ERROR',
        message: expect.stringContaining('`bytes 11-19/300000`') as unknown,
      });
    });

    test('of a manifest are cut here', async () => {
      const { target, registry } = await connect();
      const { blob, bytes } = await addEmptyManifest(registry);
      expect(await collect(await target.fetch(blob, { range: { start: 2, end: 9 } }))).toEqual(bytes.subarray(2, 9));
    });
  });

  describe('a download that breaks', () => {
    test('goes on where it stopped', async () => {
      const { target, registry, blob, bytes, delays } = await withBlob({ behaviour: { cutDownloads: [100_000, 50_000] } });
      const events: KitEvent[] = [];
      expect(await collect(await target.fetch(blob, { onEvent: (event) => events.push(event) }))).toEqual(bytes);
      expect(registry.requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=100000-299999', 'bytes=150000-299999']);
      expect(events).toMatchObject([
        { type: 'retry', id: blob.digest, attempt: 2, cause: { code: 'NETWORK' } },
        { type: 'retry', id: blob.digest, attempt: 3, cause: { code: 'NETWORK' } },
      ]);
      expect(delays).toHaveLength(2);
    });

    test('without a sign of it, goes on too', async () => {
      // an answer without a length is left to Node's parser, which asks again
      const handed = bodyReader === 'socket' ? [undefined] : [];
      const { target, registry, blob, bytes } = await withBlob({ behaviour: { shortDownloads: [...handed.map(() => 5), 100_000, 0] } });
      expect(await collect(await target.fetch(blob))).toEqual(bytes);
      expect(registry.requests.map(({ headers }) => headers.range)).toEqual([
        ...handed,
        undefined,
        'bytes=100000-299999',
        'bytes=100000-299999',
      ]);
    });

    test('within a range goes on within it', async () => {
      const { target, registry, blob, bytes } = await withBlob({ behaviour: { cutDownloads: [1000] } });
      expect(await collect(await target.fetch(blob, { range: { start: 5000, end: 9000 } }))).toEqual(bytes.subarray(5000, 9000));
      expect(registry.requests.map(({ headers }) => headers.range)).toEqual(['bytes=5000-8999', 'bytes=6000-8999']);
    });

    test('skips what it has where the registry ignores ranges', async () => {
      const { target, blob, bytes } = await withBlob({ behaviour: { cutDownloads: [100_000], ranges: false } });
      expect(await collect(await target.fetch(blob))).toEqual(bytes);
    });

    test('again and again ends as a network error', async () => {
      const { target, registry, blob } = await withBlob({ behaviour: { cutDownloads: Array.from({ length: 20 }, () => 10) } });
      await expect(collect(await target.fetch(blob))).rejects.toMatchObject({ code: 'NETWORK' });
      // one attempt and eight more, none of which came further than a few bytes
      expect(registry.requests).toHaveLength(9);
    });

    test('and whose content is gone afterwards is an error', async () => {
      const { target, registry, blob } = await withBlob({ behaviour: { cutDownloads: [100_000] } });
      const bytes = await target.fetch(blob);
      registry.storage.repository('team/model').blobs.delete(blob.digest);
      await expect(collect(bytes)).rejects.toMatchObject({ code: 'BLOB_NOT_FOUND' });
    });
  });

  describe('redirects', () => {
    test('to another origin are followed without credentials', async () => {
      const { target, registry } = await connect({ auth, behaviour: { redirectBlobs: 'foreign' } }, credentials);
      const { blob, bytes } = randomBlob(SIZE);
      await registry.addBlob('team/model', bytes);
      expect(await collect(await target.fetch(blob, { range: { start: 10, end: 2000 } }))).toEqual(bytes.subarray(10, 2000));
      const seen = registry.requests.map(({ origin, headers, status }) => [
        origin,
        status,
        headers.authorization !== undefined,
        headers.range,
      ]);
      expect(seen).toEqual([
        ['registry', 401, false, 'bytes=10-1999'],
        ['registry', 307, true, 'bytes=10-1999'],
        ['foreign', 206, false, 'bytes=10-1999'],
      ]);
    });

    test('back to the registry stay without credentials', async () => {
      // the other host sends the client back: what it asks for now was chosen by that host
      const other = await startRegistry();
      const { target, registry } = await connect({ auth, behaviour: { redirectBlobs: other.url as `http://${string}` } }, credentials);
      try {
        const { blob, bytes } = randomBlob(100);
        await registry.addBlob('team/model', bytes);
        await other.addBlob('team/model', bytes);
        other.behaviour.redirectBlobs = registry.url as `http://${string}`;
        await expect(target.fetch(blob)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
        expect(registry.requests.map(({ headers }) => headers.authorization !== undefined)).toEqual([false, true, false]);
        expect(other.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
      } finally {
        await other.close();
      }
    });

    test('in a loop are refused', async () => {
      const { target, registry, blob } = await withBlob({ behaviour: { redirectBlobs: 'loop' } });
      await expect(target.fetch(blob)).rejects.toMatchObject({
        code: 'REGISTRY_ERROR',
        message: expect.stringContaining('loop') as unknown,
      });
      expect(registry.requests).toHaveLength(1);
    });

    test('are followed five times', async () => {
      const { target, registry, blob } = await withBlob();
      const hop = (number: number) => ({
        status: 302 as const,
        headers: { Location: `/v2/team/model/blobs/${blob.digest}?hop=${number}` },
      });
      registry.behaviour.faults.push(...[1, 2, 3, 4, 5].map(hop));
      expect((await collect(await target.fetch(blob))).byteLength).toBe(SIZE);
      registry.behaviour.faults.push(...[1, 2, 3, 4, 5, 6].map(hop));
      await expect(target.fetch(blob)).rejects.toThrowError('more than 5 redirects');
    });

    test.each([[{ Location: 'file:///etc/passwd' }], [{ Location: 'http://' }], [{}]])('to nowhere are refused: %o', async (headers) => {
      const { target, registry, blob } = await withBlob();
      registry.behaviour.faults.push({ status: 307, headers });
      await expect(target.fetch(blob)).rejects.toMatchObject({
        code: 'REGISTRY_ERROR',
        message: expect.stringContaining('leads nowhere') as unknown,
      });
    });

    test('errors behind them do not show signatures', async () => {
      const { target, registry, blob } = await withBlob({ behaviour: { redirectBlobs: 'foreign' } });
      registry.behaviour.faults.push({ match: /X-Signature/, status: 403, body: '<Error><Code>AccessDenied</Code></Error>' });
      const failure: unknown = await target.fetch(blob).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'DENIED', message: expect.stringContaining('?X-Signature=...: 403 AccessDenied') as unknown });
      expect(String(failure)).not.toContain('secret');
    });
  });

  describe('an aborted call', () => {
    test('rejects with the reason, before and within a download', async () => {
      const { target, blob } = await withBlob();
      const reason = new Error('stop');
      await expect(target.fetch(blob, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      const controller = new AbortController();
      const bytes = await target.fetch(blob, { signal: controller.signal });
      const read = async () => {
        for await (const chunk of bytes) {
          expect(chunk.byteLength).toBeGreaterThan(0);
          controller.abort(reason);
        }
      };
      await expect(read()).rejects.toBe(reason);
    });

    test('rejects while it waits for a retry', async () => {
      const controller = new AbortController();
      const reason = new Error('stop');
      const { target, registry, blob } = await withBlob();
      registry.behaviour.faults.push({ status: 503 });
      const onEvent = () => controller.abort(reason);
      await expect(target.fetch(blob, { signal: controller.signal, onEvent })).rejects.toBe(reason);
      expect(registry.requests).toHaveLength(1);
    });

    test('that is never read does not harm', async () => {
      const { target, blob, bytes } = await withBlob();
      const controller = new AbortController();
      await target.fetch(blob, { signal: controller.signal });
      controller.abort(new Error('stop'));
      expect(await collect(await target.fetch(blob))).toEqual(bytes);
    });

    test('by leaving the iteration closes the connection', async () => {
      const { target, registry } = await connect();
      const { blob, bytes } = randomBlob(20_000_000);
      await registry.addBlob('team/model', bytes);
      for await (const chunk of await target.fetch(blob)) {
        expect(chunk.byteLength).toBeGreaterThan(0);
        break;
      }
      // the server's answer never finished: it was cut by the client
      expect(registry.log()).toEqual(['GET /v2/team/model/blobs/DIGEST -> 0']);
    });
  });
});
