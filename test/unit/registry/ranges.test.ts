import { describe, expect, test } from 'vitest';
import { releaseChunk } from '../../../src/chunk.ts';
import type { KitEvent } from '../../../src/events.ts';
import type { NetworkOptions } from '../../../src/registry/options.ts';
import { RangeBudget } from '../../../src/registry/range-budget.ts';
import { RANGE_LIMITS } from '../../../src/registry/range-planner.ts';
import { connect as connectTo, randomBlob } from '../../support/registry-client.ts';
import type { RegistryOptions } from '../../support/registry.ts';

const MIB = 1024 * 1024;
const SIZE = 16 * MIB + 12_345;
const CONTENT = randomBlob(SIZE);
/** The first connection is always found wanting, and four are used: nothing depends on time. */
const EAGER = {
  minRest: 1,
  sampleBytes: 1,
  sampleMs: 0,
  minWaitShare: 0,
  maxRate: Number.POSITIVE_INFINITY,
  stepMs: Number.POSITIVE_INFINITY,
  segmentBytes: 2 * MIB,
  maxAhead: 0,
};

/** What is asked for is at most two parts ahead of the reader. */
const NARROW = { ranges: { ...EAGER, windowBytes: 4 * MIB } };

/** Does `action` when the first connection is over and not all parts are asked for. */
async function* midway(bytes: AsyncIterable<Uint8Array>, action: () => void): AsyncGenerator<Uint8Array> {
  let read = 0;
  for await (const chunk of bytes) {
    if (read <= 6 * MIB && read + chunk.byteLength > 6 * MIB) action();
    read += chunk.byteLength;
    yield chunk;
  }
}

const firstByte = (range: string | undefined) => Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1]);

/** Memory that downloads of this process hold. */
const reserved = (): number => new RangeBudget(RANGE_LIMITS).taken.bytes;

/** Compared as they come, and given back. */
async function expectBytes(actual: AsyncIterable<Uint8Array>, expected: Buffer): Promise<void> {
  let length = 0;
  let isEqual = true;
  for await (const chunk of actual) {
    isEqual &&= expected.subarray(length, length + chunk.byteLength).equals(chunk);
    length += chunk.byteLength;
    releaseChunk(chunk);
  }
  expect([length, isEqual]).toEqual([expected.byteLength, true]);
}

/** What reading ends with; undefined when nothing is wrong. */
async function failureOf(bytes: AsyncIterable<Uint8Array>): Promise<unknown> {
  try {
    for await (const chunk of bytes) releaseChunk(chunk);
    return undefined;
  } catch (error) {
    return error;
  }
}

describe.each(['socket', 'parser'] as const)('a blob over several connections, read by %s', (bodyReader) => {
  /**
   * The first connection stops for a while, early enough for the others to answer before it gets to where they begin: until
   * `count` of them were asked for.
   */
  async function connect(options: RegistryOptions = {}, network: NetworkOptions = {}, count = 2) {
    const connection = await connectTo(options, (host) => ({
      bodyReader,
      ranges: EAGER,
      credentials: { [host]: { username: 'u', password: 'p' } },
      ...network,
    }));
    const { registry } = connection;
    registry.storage.linkBlob('team/model', CONTENT.blob.digest, CONTENT.bytes);
    const { promise: until, resolve } = Promise.withResolvers<void>();
    let ranges = 0;
    registry.behaviour.pauseWhole = { bytes: MIB + 32 * 1024, until };
    registry.behaviour.onRequest = (range) => {
      if (range !== undefined) ranges += 1;
      if (ranges >= count) resolve();
    };
    return { ...connection, ...CONTENT, resume: resolve, ranged: () => registry.requests.filter(({ headers }) => headers.range) };
  }

  test('comes in order, and each byte is asked for once', async () => {
    const { target, registry, blob, bytes, ranged } = await connect();
    await expectBytes(await target.fetch(blob), bytes);
    const parts = ranged().map(({ headers }) => /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? ''));
    let next = Number(parts[0]?.[1]);
    expect(next).toBeGreaterThanOrEqual(2 * MIB);
    expect(next % MIB).toBe(0);
    for (const part of parts.toSorted((a, b) => Number(a?.[1]) - Number(b?.[1]))) {
      expect(Number(part?.[1])).toBe(next);
      next = Number(part?.[2]) + 1;
    }
    expect(next).toBe(SIZE);
    expect(registry.requests).toHaveLength(parts.length + 1);
    const ports = new Set(ranged().map(({ port }) => port));
    expect(ports.size).toBeGreaterThan(1);
    // Node may not have noticed that a connection is free again
    expect(ports.size).toBeLessThanOrEqual(bodyReader === 'socket' ? 4 : 8);
    expect(reserved()).toBe(0);
  });

  test('of which only a range is wanted stays within it', async () => {
    const { target, blob, bytes, ranged, resume } = await connect();
    resume();
    const range = { start: 1000, end: 12 * MIB };
    await expectBytes(await target.fetch(blob, { range }), bytes.subarray(range.start, range.end));
    for (const { headers } of ranged()) expect(headers.range).toMatch(/-(\d{1,7}|1[0-2]\d{6})$/);
  });

  describe('whose parts', () => {
    test('are cut go on where they stopped', async () => {
      const { target, registry, blob, bytes, delays } = await connect({ behaviour: { cutRanges: [0, 100_000, 1_500_000] } });
      const events: KitEvent[] = [];
      await expectBytes(await target.fetch(blob, { onEvent: (event) => events.push(event) }), bytes);
      expect(events.filter(({ type }) => type === 'retry').map((event) => 'id' in event && event.id)).toEqual(
        delays.map(() => blob.digest),
      );
      expect(delays.length).toBeGreaterThanOrEqual(2);
      expect(registry.behaviour.cutRanges).toEqual([]);
      expect(reserved()).toBe(0);
    });

    test('are cut again and again end as a network error', async () => {
      const { target, blob } = await connect({ behaviour: { cutRanges: Array.from({ length: 100 }, () => 10) } });
      expect(await failureOf(await target.fetch(blob))).toMatchObject({ code: 'NETWORK' });
      expect(reserved()).toBe(0);
    });

    test('meet a reset connection are asked for again', async () => {
      const { target, registry, blob, bytes } = await connect();
      registry.behaviour.faults.push({ range: /./, skip: 2, status: 'reset' });
      await expectBytes(await target.fetch(blob), bytes);
      expect(registry.behaviour.faults).toEqual([]);
    });

    test('stall are given up and asked for again', async () => {
      const { target, registry, blob, bytes, delays } = await connect({ behaviour: { stallRanges: [70_000] } }, { stallTimeoutMs: 300 });
      await expectBytes(await target.fetch(blob), bytes);
      expect(registry.behaviour.stallRanges).toEqual([]);
      expect(delays).toHaveLength(1);
    });

    test('meet a revoked token get another one', async () => {
      const auth = { type: 'bearer', username: 'u', password: 'p' } as const;
      const { target, registry, blob, bytes } = await connect({ auth });
      const wait = registry.behaviour.onRequest;
      let ranges = 0;
      registry.behaviour.onRequest = (range) => {
        wait?.(range);
        if (range !== undefined && ++ranges === 3) registry.auth.revokeTokens();
      };
      await expectBytes(await target.fetch(blob), bytes);
      expect(registry.requests.filter(({ headers, status }) => headers.range !== undefined && status === 401).length).toBeGreaterThan(0);
    });

    test('are too many for the registry wait as it asks, and become fewer', async () => {
      const { target, registry, blob, bytes, delays, ranged } = await connect({}, { ranges: { ...EAGER, connections: 2 } });
      registry.behaviour.faults.push({ range: /./, skip: 2, status: 429, headers: { 'Retry-After': '7' } });
      await expectBytes(await target.fetch(blob), bytes);
      expect(delays).toEqual([7000]);
      // the rest came as one
      expect(firstByte(ranged().at(-1)?.headers.range)).toBeLessThan(SIZE - 4 * MIB);
      expect(ranged().at(-1)?.headers.range).toMatch(new RegExp(`-${SIZE - 1}$`));
    });

    test.each([
      ['ignored', { status: 200 as const, body: 'something else' }],
      ['not satisfiable', { status: 416 as const }],
      ['refused by an error page', { status: 500 as const, body: '<html><title>Sorry</title></html>' }],
      ['another range', { status: 206 as const, body: 'xyz', headers: { 'Content-Range': `bytes 0-2/${SIZE}` } }],
      ['of another blob', { status: 206 as const, body: 'xyz', headers: { 'Content-Range': 'bytes 0-2/3' } }],
    ])('are %s on the way go on over one connection', async (_name, fault) => {
      const { target, registry, blob, bytes, ranged } = await connect({}, NARROW);
      const meetFault = () => void registry.behaviour.faults.push({ range: /./, ...fault });
      await expectBytes(midway(await target.fetch(blob), meetFault), bytes);
      expect(registry.behaviour.faults).toEqual([]);
      expect(ranged().at(-1)?.headers.range).toMatch(new RegExp(`-${SIZE - 1}$`));
      expect(reserved()).toBe(0);
    });

    test('are refused for good fail with the error of one connection', async () => {
      const { target, registry, blob } = await connect({}, NARROW);
      const remove = () => void registry.storage.repository('team/model').blobs.delete(blob.digest);
      expect(await failureOf(midway(await target.fetch(blob), remove))).toMatchObject({ code: 'BLOB_NOT_FOUND' });
      expect(reserved()).toBe(0);
    });
  });

  describe('where the first part', () => {
    test.each([
      ['is not known to the server', { status: 200 as const, body: 'something else' }],
      ['is not satisfiable', { status: 416 as const }],
      ['is one too many', { status: 429 as const, headers: { 'Retry-After': '60' } }],
      ['meets a busy server', { status: 503 as const }],
      ['meets a reset', { status: 'reset' as const }],
      ['meets an error page', { status: 500 as const, body: '<html></html>' }],
      ['is another one', { status: 206 as const, body: 'xyz', headers: { 'Content-Range': `bytes 0-2/${SIZE}` } }],
    ])('%s, the first connection goes on', async (_name, fault) => {
      const { target, registry, blob, bytes, delays, ranged } = await connect({}, {}, 1);
      registry.behaviour.faults.push({ range: /./, ...fault });
      await expectBytes(await target.fetch(blob), bytes);
      expect(delays).toEqual([]);
      expect(ranged()).toHaveLength(1);
      expect(registry.requests).toHaveLength(2);
      expect(reserved()).toBe(0);
    });

    test('comes too late, the first connection goes on', async () => {
      const { promise: rangeGate, resolve } = Promise.withResolvers<void>();
      const { target, registry, blob, bytes } = await connect({ behaviour: { rangeGate } }, {}, 1);
      await expectBytes(await target.fetch(blob), bytes);
      resolve();
      expect(registry.requests).toHaveLength(2);
      expect(reserved()).toBe(0);
    });
  });

  describe('behind a redirect', () => {
    test('is asked of the storage host directly, without credentials', async () => {
      const auth = { type: 'basic', username: 'u', password: 'p' } as const;
      const { target, registry, blob, bytes } = await connect({ auth, behaviour: { redirectBlobs: 'foreign' } });
      await expectBytes(await target.fetch(blob), bytes);
      const [own, foreign] = ['registry', 'foreign'].map((origin) => registry.requests.filter((request) => request.origin === origin));
      expect(own?.map(({ status }) => status)).toEqual([401, 307]);
      expect(foreign?.length).toBeGreaterThan(5);
      expect(foreign?.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
    });

    test('whose address expires is asked for at the registry again', async () => {
      const { target, registry, blob, bytes } = await connect({ behaviour: { redirectBlobs: 'foreign' } });
      registry.behaviour.faults.push({ match: /X-Signature/, range: /./, skip: 2, status: 403 });
      await expectBytes(await target.fetch(blob), bytes);
      // by the one that was refused, and those that were asked for meanwhile
      const own = registry.requests.filter(({ origin }) => origin === 'registry').length;
      expect(own).toBeGreaterThanOrEqual(2);
      expect(own).toBeLessThanOrEqual(5);
      expect(registry.requests.filter(({ status }) => status === 403)).toHaveLength(1);
    });
  });

  describe('that is given up', () => {
    test('by leaving ends all connections', async () => {
      const { target, blob } = await connect();
      let count = 0;
      for await (const chunk of await target.fetch(blob)) {
        count += chunk.byteLength;
        releaseChunk(chunk);
        if (count > 6 * MIB) break;
      }
      expect(reserved()).toBe(0);
    });

    test('by its signal rejects with the reason', async () => {
      const { target, blob } = await connect();
      const controller = new AbortController();
      const reason = new Error('stop');
      let count = 0;
      const read = async () => {
        for await (const chunk of await target.fetch(blob, { signal: controller.signal })) {
          count += chunk.byteLength;
          if (count > 6 * MIB) controller.abort(reason);
        }
      };
      await expect(read()).rejects.toBe(reason);
      expect(reserved()).toBe(0);
    });
  });

  test('holds no more memory than it may', async () => {
    const { target, blob, bytes } = await connect({}, NARROW);
    const read: Uint8Array[] = [];
    for await (const chunk of await target.fetch(blob)) {
      read.push(chunk);
      expect(reserved()).toBeLessThanOrEqual(4 * MIB);
    }
    expect(Buffer.concat(read).equals(bytes)).toBe(true);
  });
});
