import { expect, test } from 'vitest';
import { readVerified, verified } from '../../../src/blobs/verified.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { Chunks, collect } from './workspace.ts';

const CONTENT = Buffer.from('some content');
const DESCRIPTOR = { mediaType: 'x', digest: digestOf(CONTENT), size: CONTENT.byteLength };

test('passes on what is right', async () => {
  expect(await collect(verified(new Chunks(CONTENT, 5), DESCRIPTOR))).toEqual(CONTENT);
});

test('sha512 works as well', async () => {
  const descriptor = { ...DESCRIPTOR, digest: digestOf(CONTENT, 'sha512') };
  expect(await collect(verified(new Chunks(CONTENT, 5), descriptor))).toEqual(CONTENT);
});

async function read(content: Uint8Array, size = DESCRIPTOR.size): Promise<Buffer> {
  return await collect(verified(new Chunks(content, 5), { ...DESCRIPTOR, size }));
}

test('refuses another content, too little and too much', async () => {
  await expect(read(Buffer.from('same length!'))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  await expect(read(CONTENT.subarray(0, 8))).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
  await expect(read(CONTENT, 10 * 1024 ** 3)).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
});

test('stops at the first byte too many', async () => {
  const endless = new Chunks(Buffer.alloc(1000), 10);
  await expect(collect(verified(endless, DESCRIPTOR))).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
  expect(endless.asked).toBe(2);
  expect(endless.ended).toBe(true);
});

test('metadata beyond the limit is not even asked for', async () => {
  const source = new Chunks(CONTENT, 5);
  await expect(readVerified(source, DESCRIPTOR, 5)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  expect(source.asked).toBe(0);
});
