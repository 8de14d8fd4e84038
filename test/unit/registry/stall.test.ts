import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type BlobSource, bytesSource } from '../../../src/blob-source.ts';
import { describe as descriptorOf } from '../../../src/oci/descriptor.ts';
import { RateWatch, StalledError, watchSent } from '../../../src/registry/stall.ts';
import { collect, connect, randomBlob } from '../../support/registry-client.ts';

const MiB = 1024 * 1024;
const LIMITS = { silenceMs: 1000, minRate: 100 };

describe('the rate of a connection', () => {
  test('is judged over a while of waiting', () => {
    const watch = new RateWatch(LIMITS);
    watch.moved(1, 999);
    expect(() => watch.moved(1, 1)).toThrowError(StalledError);
  });

  test('may be low for a moment', () => {
    const watch = new RateWatch(LIMITS);
    for (let count = 0; count < 10; count++) {
      watch.moved(0, 900);
      watch.moved(100, 100);
    }
    expect(() => watch.moved(99, 1000)).toThrowError(StalledError);
  });

  test('counts no time in which nobody waited for it', () => {
    const watch = new RateWatch(LIMITS);
    for (let count = 0; count < 100; count++) watch.moved(1, 0);
    expect(() => watch.moved(0, 1000)).not.toThrow();
  });
});

describe('a body that is sent', () => {
  test('keeps its bytes, in pieces that grow as they are taken', async () => {
    const { bytes } = randomBlob(5 * MiB + 123);
    async function* chunks() {
      for (let at = 0; at < bytes.byteLength; at += MiB) yield bytes.subarray(at, at + MiB);
    }
    const sent: Uint8Array[] = [];
    for await (const piece of watchSent(chunks(), { silenceMs: 60_000, minRate: 1 }, () => {})) sent.push(piece);
    expect(Buffer.concat(sent).equals(bytes)).toBe(true);
    expect(sent[0]?.byteLength).toBe(64 * 1024);
    // a rest below the buffer of the socket could still be there when its memory is given back
    expect(sent.slice(0, -1).every(({ byteLength }) => byteLength >= 64 * 1024)).toBe(true);
  });

  test('is given up when nobody takes it', async () => {
    const { promise, resolve } = Promise.withResolvers<StalledError>();
    const body = watchSent(bytesSource(Buffer.alloc(MiB)).open(), { silenceMs: 1, minRate: 1 }, resolve)[Symbol.asyncIterator]();
    await body.next();
    expect(await promise).toBeInstanceOf(StalledError);
    await body.return?.();
  });

  test('may have pieces of 4 MiB once 32 MiB have gone soon: less can be in buffers on the way', () => {
    const inner = {
      next: async () => await Promise.resolve({ done: true as const, value: undefined }),
      readNow: (piece: Uint8Array) => piece.byteLength,
    };
    const body = watchSent({ [Symbol.asyncIterator]: () => inner }, { silenceMs: 60_000, minRate: 1 }, () => {})[Symbol.asyncIterator]();
    const piece = new Uint8Array(8 * MiB);
    const sizes = Array.from({ length: 50 }, () => body.readNow?.(piece) ?? 0);
    const firstLarge = sizes.findIndex((size) => size > MiB);
    expect(sizes.slice(0, firstLarge).reduce((sum, size) => sum + size, 0)).toBeGreaterThanOrEqual(32 * MiB);
    expect(Math.max(...sizes)).toBe(4 * MiB);
  });

  test('is given so much time for each piece, whenever it came, and none while its source is waited for', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const givenUp: StalledError[] = [];
    const source = Promise.withResolvers<Uint8Array>();
    async function* chunks() {
      yield Buffer.alloc(64 * 1024);
      yield await source.promise;
    }
    const body = watchSent(chunks(), { silenceMs: 1000, minRate: 1 }, (error) => givenUp.push(error))[Symbol.asyncIterator]();
    await body.next();
    vi.advanceTimersByTime(900);
    const second = body.next();
    vi.advanceTimersByTime(5500);
    source.resolve(Buffer.alloc(64 * 1024));
    await second;
    vi.advanceTimersByTime(999);
    expect(givenUp).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(givenUp).toHaveLength(1);
    await body.return?.();
  });
});

describe.each(['socket', 'parser'] as const)('with bodies read by %s', (bodyReader) => {
  test('a download that trickles is given up, and goes on over another connection', async () => {
    const { registry, target, delays } = await connect({ behaviour: { trickleDownloads: [50_000] } }, () => ({
      bodyReader,
      stallTimeoutMs: 300,
      minRate: 100_000,
    }));
    const { bytes, blob } = randomBlob(300_000);
    await registry.addBlob('team/model', bytes);
    expect((await collect(await target.fetch(blob))).equals(bytes)).toBe(true);
    expect(delays).toHaveLength(1);
    const [, start] = /^bytes=(\d+)-/.exec(registry.requests[1]?.headers.range ?? '') ?? [];
    expect(Number(start)).toBeGreaterThanOrEqual(50_000);
  });
});

describe('an upload that the socket does not take', () => {
  // more than the buffers of both sockets hold
  const size = 24 * MiB;
  const chunk = Buffer.alloc(MiB, 7);
  const source: BlobSource = {
    size,
    async *open(range) {
      for (let at = range?.start ?? 0; at < (range?.end ?? size); at += MiB) yield chunk.subarray(0, (range?.end ?? size) - at);
    },
  };
  const blob = descriptorOf('application/octet-stream', Buffer.alloc(size, 7));

  test('in one request begins anew', async () => {
    const { registry, target, delays } = await connect({ behaviour: { stallUploads: [MiB] } }, () => ({ stallTimeoutMs: 400 }));
    await target.push(blob, source);
    expect(delays).toHaveLength(1);
    expect(registry.requests.filter(({ method }) => method === 'PUT')).toHaveLength(2);
  });

  test('in chunks goes on where it was', async () => {
    const { registry, target, delays } = await connect({ behaviour: { stallUploads: [MiB] } }, (host) => ({
      stallTimeoutMs: 400,
      chunkSizes: { [host]: 16 * MiB },
    }));
    await target.push(blob, source);
    expect(delays).toHaveLength(1);
    const [, start] = /^(\d+)-/.exec(registry.requests.filter(({ method }) => method === 'PATCH')[1]?.headers['content-range'] ?? '') ?? [];
    expect(Number(start)).toBeGreaterThanOrEqual(MiB);
  });

  test('time and again is a network error', async () => {
    const { target } = await connect({ behaviour: { stallUploads: Array.from({ length: 9 }, () => 0) } }, () => ({ stallTimeoutMs: 100 }));
    await expect(target.push(blob, source)).rejects.toMatchObject({
      code: 'NETWORK',
      message: expect.stringMatching(/has stalled \(no byte could be sent\)/) as unknown,
    });
  });
});
