import { describe, expect, test } from 'vitest';
import { CHUNK_BYTES } from '../../../src/chunk.ts';
import { BodyBuffer } from '../../../src/registry/body-buffer.ts';

function bufferOf(length: number) {
  const clock = { now: 0, drained: 0 };
  const body = new BodyBuffer(length, { onDrain: () => (clock.drained += 1), now: () => clock.now });
  /** As a socket does it: writes as much as fits, at most `count`. */
  const write = (count: number, value = 7): boolean => {
    const space = body.space();
    const size = Math.min(count, space.byteLength);
    space.fill(value, 0, size);
    return body.filled(size);
  };
  return { body, write, clock };
}

const isPending = async (promise: Promise<unknown>) => (await Promise.race([promise, Promise.resolve('pending')])) === 'pending';

describe('a body buffer', () => {
  test('hands out whole chunks, and the rest at the end', async () => {
    const { body, write } = bufferOf(CHUNK_BYTES + 10);
    write(CHUNK_BYTES - 1, 1);
    const first = body.next();
    expect(await isPending(first)).toBe(true);
    write(CHUNK_BYTES, 2);
    expect((await first)?.byteLength).toBe(CHUNK_BYTES);
    write(CHUNK_BYTES, 3);
    expect(await body.next()).toEqual(new Uint8Array(10).fill(3));
    expect(await body.next()).toBeUndefined();
  });

  test('never offers more space than the body has left', () => {
    const { body, write } = bufferOf(1000);
    expect(body.space().byteLength).toBe(1000);
    write(999);
    expect(body.space().byteLength).toBe(1);
    expect(body.left).toBe(1);
  });

  test('asks for a pause when its reader is slow, and says when it goes on', async () => {
    const { body, write, clock } = bufferOf(10 * CHUNK_BYTES);
    expect(write(CHUNK_BYTES)).toBe(true);
    expect(write(CHUNK_BYTES)).toBe(false);
    expect(clock.drained).toBe(0);
    await body.next();
    expect(clock.drained).toBe(1);
    await body.next();
    expect(clock.drained).toBe(1);
  });

  test('lets a reader on a slow link have what there is, and writes no more to it', async () => {
    const { body, write, clock } = bufferOf(10 * CHUNK_BYTES);
    const early = body.next();
    write(100, 1);
    expect(await isPending(early)).toBe(true);
    clock.now = 1000;
    write(100, 2);
    const bytes = await early;
    expect(bytes).toEqual(Uint8Array.from({ length: 200 }, (_, at) => (at < 100 ? 1 : 2)));
    write(300, 9);
    expect(bytes?.[0]).toBe(1);
  });

  test('gives what arrived before it fails', async () => {
    const { body, write } = bufferOf(1000);
    const error = new Error('broken');
    write(400);
    body.fail(error);
    body.fail(new Error('later'));
    expect((await body.next())?.byteLength).toBe(400);
    await expect(body.next()).rejects.toBe(error);
  });

  test('wakes a waiting reader when it fails', async () => {
    const { body } = bufferOf(1000);
    const next = body.next();
    const error = new Error('broken');
    body.fail(error);
    await expect(next).rejects.toBe(error);
  });

  test('that is whole does not fail afterwards', async () => {
    const { body, write } = bufferOf(5);
    write(5);
    body.fail(new Error('closed'));
    expect((await body.next())?.byteLength).toBe(5);
    expect(await body.next()).toBeUndefined();
  });

  test('takes bytes that arrived elsewhere', async () => {
    const { body, write } = bufferOf(CHUNK_BYTES * 2);
    body.append(new Uint8Array(3).fill(5));
    write(CHUNK_BYTES, 6);
    const chunk = await body.next();
    expect([chunk?.byteLength, chunk?.[2], chunk?.[3]]).toEqual([CHUNK_BYTES, 5, 6]);
  });

  test('of no bytes ends at once', async () => {
    expect(await bufferOf(0).body.next()).toBeUndefined();
  });
});
