import { expect, test } from 'vitest';
import { chunkSizeFor } from '../../../src/registry/chunk-size.ts';

const MIB = 1024 * 1024;

test.each([
  [0, Number.POSITIVE_INFINITY],
  [256 * MIB, Number.POSITIVE_INFINITY],
  [256 * MIB + 1, 86 * MIB],
  [512 * MIB, 128 * MIB],
  // with the header of a tar archive: no request for a few bytes
  [512 * MIB + 2560, 103 * MIB],
  [1024 * 1024 * MIB, 128 * MIB],
])('a blob of %i bytes goes in even chunks of at most 128 MiB', (size, expected) => {
  expect(chunkSizeFor({ chunkSize: undefined }, size)).toBe(expected);
});

test('what is configured, or known of the host, is taken as it is', () => {
  expect(chunkSizeFor({ chunkSize: 4 * MIB }, 10 * MIB)).toBe(4 * MIB);
  expect(chunkSizeFor({ chunkSize: Number.POSITIVE_INFINITY }, 1024 * 1024 * MIB)).toBe(Number.POSITIVE_INFINITY);
});
