import { expect, test } from 'vitest';
import { allocateChunk, CHUNK_BYTES, holdChunk, isShared, releaseChunk } from '../../src/chunk.ts';

test('a chunk is shared memory, and comes back when it was released', () => {
  const chunk = allocateChunk();
  expect(chunk.byteLength).toBe(CHUNK_BYTES);
  expect(isShared(chunk)).toBe(true);
  releaseChunk(chunk.subarray(10, 20));
  expect(allocateChunk().buffer).toBe(chunk.buffer);
});

test('a chunk that is held is nobody else’s until each holder released it', () => {
  const chunk = allocateChunk();
  holdChunk(chunk);
  releaseChunk(chunk);
  const other = allocateChunk();
  expect(other.buffer).not.toBe(chunk.buffer);
  releaseChunk(chunk);
  const again = allocateChunk();
  expect(again.buffer).toBe(chunk.buffer);
  expect(allocateChunk().buffer).not.toBe(chunk.buffer);
});

test('foreign memory and what was released already are left alone', () => {
  const chunk = allocateChunk();
  releaseChunk(chunk);
  releaseChunk(chunk);
  releaseChunk(Buffer.alloc(10));
  holdChunk(Buffer.alloc(10));
  const [first, second] = [allocateChunk(), allocateChunk()];
  expect(first.buffer).not.toBe(second.buffer);
});
