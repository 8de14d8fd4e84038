import { describe, expect, test } from 'vitest';
import { CHUNK_BYTES } from '../../../src/chunk.ts';
import { RANGE_LIMITS, RangePlanner } from '../../../src/registry/range-planner.ts';

const REST = 1024 * CHUNK_BYTES;
const MB = 1_000_000;

/** A link on a clock of its own: bytes per second for a number of connections. */
function linkOf(rate: (connections: number) => number, options: { busyShare?: number; limits?: Partial<typeof RANGE_LIMITS> } = {}) {
  let now = 0;
  const planner = new RangePlanner({ ...RANGE_LIMITS, ...options.limits }, () => now, 20);
  const { busyShare = 0 } = options;
  return {
    planner,
    clock: () => now,
    /** Reads on one connection until it should split or `bytes` are read. */
    single(bytes: number): boolean {
      for (let read = 0; read < bytes; read += CHUNK_BYTES) {
        const ms = (CHUNK_BYTES * 1000) / rate(1);
        now += ms;
        planner.received(CHUNK_BYTES, ms * (1 - busyShare), ms * busyShare);
        if (planner.shouldSplit(REST)) return true;
      }
      return false;
    },
    /** Reads over several for `ms`; gives the numbers of connections in order. */
    parallel(ms: number): number[] {
      const seen = [planner.connections];
      for (const end = now + ms; now < end && planner.connections > 1;) {
        now += (CHUNK_BYTES * 1000) / rate(planner.connections);
        planner.arrived(CHUNK_BYTES);
        if (seen.at(-1) !== planner.connections) seen.push(planner.connections);
      }
      return seen;
    },
  };
}

describe('one connection stays alone', () => {
  test('when it is fast', () => {
    expect(linkOf(() => 400 * MB).single(REST)).toBe(false);
  });

  test('when the reader is what limits', () => {
    expect(linkOf(() => 100 * MB, { busyShare: 0.6 }).single(REST)).toBe(false);
    expect(linkOf(() => 100 * MB, { busyShare: 0.4 }).single(REST)).toBe(true);
  });

  test('when little is left', () => {
    const { planner } = linkOf(() => 40 * MB);
    planner.received(8 * CHUNK_BYTES, 200, 0);
    expect(planner.shouldSplit(RANGE_LIMITS.minRest - 1)).toBe(false);
    planner.received(8 * CHUNK_BYTES, 200, 0);
    expect(planner.shouldSplit(RANGE_LIMITS.minRest)).toBe(true);
  });

  test('until there is something to judge by', () => {
    const { planner } = linkOf(() => 40 * MB);
    planner.received(RANGE_LIMITS.sampleBytes - 1, 1000, 0);
    expect(planner.shouldSplit(REST)).toBe(false);
    planner.received(1, 0, 0);
    expect(planner.shouldSplit(REST)).toBe(true);
  });
});

describe('more connections', () => {
  test('are had at once on a link that limits each of them', () => {
    const link = linkOf((connections) => connections * 40 * MB);
    expect(link.single(REST)).toBe(true);
    expect(link.clock()).toBeLessThan(100);
    link.planner.begin();
    expect(link.parallel(1000)).toEqual([4, 16]);
  });

  test('are had step by step while there is some gain', () => {
    const link = linkOf((connections) => 40 * MB * connections ** 0.5);
    expect(link.single(REST)).toBe(true);
    link.planner.begin();
    expect(link.parallel(5000)).toEqual([4, 8, 16]);
  });

  test('go back to as many as gained, and are tried again ever more rarely', () => {
    const link = linkOf((connections) => Math.min(connections, 4) * 40 * MB);
    link.single(REST);
    link.planner.begin();
    expect(link.parallel(400)).toEqual([4, 16, 4]);
    const tried: number[] = [];
    while (tried.length < 4) {
      expect(link.parallel(1)[0]).toBe(4);
      while (link.planner.connections === 4) link.parallel(1);
      tried.push(link.clock());
      while (link.planner.connections === 8) link.parallel(1);
    }
    const [first = 0, second = 0, third = 0] = tried.slice(1).map((time, at) => time - (tried[at] ?? 0));
    expect(second).toBeGreaterThan(first * 1.5);
    expect(third).toBeGreaterThan(second * 1.5);
  });

  test('go back to one on a link that gains nothing, for a long time', () => {
    const link = linkOf(() => 40 * MB);
    link.single(REST);
    link.planner.begin();
    expect(link.parallel(1000)).toEqual([4, 1]);
    expect(link.single(1000 * CHUNK_BYTES)).toBe(false);
    expect(link.single(100 * CHUNK_BYTES)).toBe(true);
  });

  test('are never more than allowed', () => {
    const link = linkOf((connections) => connections * 40 * MB, { limits: { connections: 6 } });
    link.single(REST);
    link.planner.begin();
    expect(link.parallel(5000)).toEqual([4, 6]);
  });

  test('end when the registry asks for fewer requests, and come back after a while', () => {
    const link = linkOf((connections) => connections * 40 * MB);
    link.single(REST);
    link.planner.begin();
    link.parallel(1000);
    link.planner.trouble();
    expect(link.planner.connections).toBe(1);
    expect(link.single(60 * CHUNK_BYTES)).toBe(false);
    expect(link.single(10 * CHUNK_BYTES)).toBe(true);
    link.planner.begin();
    link.planner.trouble();
    expect(link.single(120 * CHUNK_BYTES)).toBe(false);
    expect(link.single(20 * CHUNK_BYTES)).toBe(true);
  });

  test('are never asked for again where ranges do not work', () => {
    const link = linkOf(() => 40 * MB);
    expect(link.single(REST)).toBe(true);
    link.planner.refused();
    expect(link.single(4 * REST)).toBe(false);
  });
});

describe('where they begin', () => {
  test('is further ahead on a link with long ways', () => {
    const limits = { segmentBytes: 4 * CHUNK_BYTES, maxAhead: 32 * CHUNK_BYTES };
    const near = linkOf(() => 40 * MB, { limits });
    near.single(REST);
    expect(near.planner.ahead()).toBe(limits.segmentBytes);
    const far = linkOf(() => 40 * MB, { limits });
    far.single(REST);
    far.planner.answered(200);
    expect(far.planner.ahead()).toBeCloseTo(16 * MB, -5);
    far.planner.late();
    expect(far.planner.ahead()).toBeCloseTo(32 * MB, -5);
    far.planner.answered(60_000);
    expect(far.planner.ahead()).toBe(limits.maxAhead);
  });
});
