import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { allocateChunk, CHUNK_BYTES, releaseChunk } from '../../../src/chunk.ts';
import { StreamDigester } from '../../../src/oci/stream-digester.ts';

const MANY = 64 * CHUNK_BYTES;
const content = randomBytes(9 * CHUNK_BYTES + 12_345);
const sha = (bytes: Uint8Array, algorithm = 'sha256') => `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;

/** Feeds the bytes in chunks of shared memory that are given back, and overwritten, at once. */
async function feed(digester: StreamDigester, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.byteLength; offset += CHUNK_BYTES) {
    const part = bytes.subarray(offset, offset + CHUNK_BYTES);
    const chunk = allocateChunk().subarray(0, part.byteLength);
    chunk.set(part);
    await digester.update(chunk);
    releaseChunk(chunk);
    const next = allocateChunk();
    next.fill(0);
    releaseChunk(next);
  }
}

test('many bytes in shared memory give the digest that they have', async () => {
  const digester = new StreamDigester('sha256', MANY);
  await feed(digester, content);
  expect(await digester.digest()).toBe(sha(content));
});

test('streams side by side do not mix, whatever their algorithm', async () => {
  const parts = [content, content.subarray(1), content.subarray(2), content.subarray(3), content.subarray(4)];
  const digests = parts.map(async (part, index) => {
    const digester = new StreamDigester(index % 2 === 0 ? 'sha256' : 'sha512');
    await feed(digester, part);
    return await digester.digest();
  });
  expect(await Promise.all(digests)).toEqual(parts.map((part, index) => sha(part, index % 2 === 0 ? 'sha256' : 'sha512')));
});

test('memory that is not shared is hashed too, before and after some that is', async () => {
  const unshared = new StreamDigester();
  await unshared.update(content.subarray(0, 100));
  await feed(unshared, content.subarray(100));
  expect(await unshared.digest()).toBe(sha(content));
  const mixed = new StreamDigester('sha256', MANY);
  await feed(mixed, content.subarray(0, 5_000_000));
  await mixed.update(content.subarray(5_000_000));
  expect(await mixed.digest()).toBe(sha(content));
});

test('nothing has a digest, and few bytes need no thread', async () => {
  expect(await new StreamDigester().digest()).toBe(sha(new Uint8Array()));
  const small = new StreamDigester('sha512', 10);
  await small.update(content.subarray(0, 10));
  expect(await small.digest()).toBe(sha(content.subarray(0, 10), 'sha512'));
});

test('a digester that is abandoned leaves the thread to others', async () => {
  const abandoned = new StreamDigester('sha256', MANY);
  await feed(abandoned, content);
  abandoned.abandon();
  abandoned.abandon();
  const digester = new StreamDigester('sha256', MANY);
  await feed(digester, content);
  expect(await digester.digest()).toBe(sha(content));
});
