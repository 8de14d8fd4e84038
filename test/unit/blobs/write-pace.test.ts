import { expect, test } from 'vitest';
import { WritePace, type WriteWay } from '../../../src/blobs/write-pace.ts';

const MIB = 1024 * 1024;

/** Writes of 1 MiB, one after the other; returns how many went each way. */
function write(pace: WritePace, count: number, each: { plain: number; direct: number; mixed?: number }): Record<WriteWay, number> {
  const went = { plain: 0, mixed: 0, direct: 0 };
  const ms = { mixed: (each.plain + each.direct) / 2, ...each };
  let now = 0;
  for (let i = 0; i < count; i++) {
    const { way } = pace;
    went[way] += 1;
    pace.begin(now);
    now += ms[way];
    pace.end(MIB, now);
  }
  return went;
}

test('a page cache that is fast gets nearly all', () => {
  expect(write(new WritePace(), 5000, { plain: 0.4, direct: 0.7 }).direct).toBeLessThan(250);
});

test('a disk that is very slow is not tried for long', () => {
  expect(write(new WritePace(), 5000, { plain: 0.4, direct: 10 }).direct).toBeLessThan(80);
});

test('a page cache that is slower than the disk is left, and looked at again now and then', () => {
  const { plain, direct } = write(new WritePace(), 10_000, { plain: 3, direct: 1 });
  expect(direct).toBeGreaterThan(9000);
  expect(plain).toBeGreaterThan(32);
});

test('a disk that is slow is left to the page cache', () => {
  const { plain, direct } = write(new WritePace(), 10_000, { plain: 2, direct: 8 });
  expect(plain).toBeGreaterThan(9000);
  expect(direct).toBeGreaterThan(0);
});

test('where both are the same the page cache gets it: the next reader gains', () => {
  const { plain } = write(new WritePace(), 10_000, { plain: 10, direct: 10 });
  expect(plain).toBeGreaterThan(9000);
});

test('what changes is noticed', () => {
  const pace = new WritePace();
  write(pace, 1000, { plain: 0.3, direct: 1 });
  // the page cache is full
  expect(write(pace, 3000, { plain: 4, direct: 1 }).direct).toBeGreaterThan(2500);
  // and has room again
  expect(write(pace, 5000, { plain: 0.3, direct: 1 }).plain).toBeGreaterThan(2000);
});

test('half of the files go past the page cache where that is fastest', () => {
  expect(write(new WritePace(), 10_000, { plain: 2, direct: 2, mixed: 1 }).mixed).toBeGreaterThan(9000);
});
