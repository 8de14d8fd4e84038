import { expect, test } from 'vitest';
import { dropPiece, freePiece, takePiece } from '../../../src/registry/send-pieces.ts';

const MIB = 1024 * 1024;

test('eight bodies at once have 4 MiB each, which the next ones have again; more have a chunk', () => {
  const first = Array.from({ length: 10 }, takePiece);
  expect(first.map(({ byteLength }) => byteLength / MIB)).toEqual([4, 4, 4, 4, 4, 4, 4, 4, 1, 1]);
  for (const piece of first) freePiece(piece);
  const second = Array.from({ length: 9 }, takePiece);
  expect(new Set(second.slice(0, 8).map(({ buffer }) => buffer))).toEqual(new Set(first.slice(0, 8).map(({ buffer }) => buffer)));
  expect(second[8]?.byteLength).toBe(MIB);
  for (const piece of second) freePiece(piece);
});

test('what is dropped is not used again, and another takes its place', () => {
  const pieces = Array.from({ length: 8 }, takePiece);
  for (const piece of pieces) dropPiece(piece);
  const others = Array.from({ length: 8 }, takePiece);
  expect(others.every(({ byteLength }) => byteLength === 4 * MIB)).toBe(true);
  expect(others.some((piece) => pieces.includes(piece))).toBe(false);
  for (const piece of others) freePiece(piece);
});
