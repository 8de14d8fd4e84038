import { expect, test } from 'vitest';
import { WritePace } from '../../../src/blobs/write-pace.ts';

const MIB = 1024 * 1024;

function write(pace: WritePace, bytes: number, ms: number, from: number): number {
  pace.begin(from);
  pace.end(bytes, from + ms);
  return from + ms;
}

test('a fast disk is written directly, a slow one is given up for good', () => {
  const pace = new WritePace();
  let now = 0;
  for (let i = 0; i < 200; i++) now = write(pace, MIB, 2, now);
  expect(pace.isDirectWorth).toBe(true);
  for (let i = 0; i < 200; i++) now = write(pace, MIB, 20, now);
  expect(pace.isDirectWorth).toBe(false);
  for (let i = 0; i < 200; i++) now = write(pace, MIB, 1, now);
  expect(pace.isDirectWorth).toBe(false);
});

test('pauses between writes are not the disk’s, and writes side by side count once', () => {
  const pace = new WritePace();
  for (let i = 0; i < 200; i++) write(pace, MIB, 2, i * 1000);
  expect(pace.isDirectWorth).toBe(true);
  // four at a time, 16 ms each: 4 ms a MiB
  for (let i = 0; i < 100; i++) {
    const from = 200_000 + i * 16;
    for (let n = 0; n < 4; n++) pace.begin(from);
    for (let n = 0; n < 4; n++) pace.end(MIB, from + 16);
  }
  expect(pace.isDirectWorth).toBe(true);
});

test('one write that waits does not decide', () => {
  const pace = new WritePace();
  write(pace, MIB, 5000, 0);
  expect(pace.isDirectWorth).toBe(true);
});
