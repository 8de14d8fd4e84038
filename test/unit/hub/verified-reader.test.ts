import { expect, test } from 'vitest';
import type { ByteRange } from '../../../src/blob-source.ts';
import type { RemoteFile } from '../../../src/hub/remote-file.ts';
import { VerifiedReader } from '../../../src/hub/verified-reader.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { gitBlobId } from '../../support/hub-server.ts';

const CONTENT = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));

function fileOf(content: Buffer, by: 'digest' | 'blobId' | 'nothing', opened: number[] = []): RemoteFile {
  return {
    path: 'a',
    size: CONTENT.byteLength,
    mode: 0o644,
    digest: by === 'digest' ? digestOf(CONTENT) : undefined,
    blobId: by === 'blobId' ? gitBlobId(CONTENT) : undefined,
    async *open({ start, end }) {
      opened.push(start);
      for (let at = start; at < end; at += 64) yield content.subarray(at, Math.min(end, at + 64));
    },
  };
}

async function read(reader: VerifiedReader, range: ByteRange): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of reader.open(range, {})) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const WHOLE = { start: 0, end: CONTENT.byteLength };
const DAMAGED = Buffer.from(CONTENT);
DAMAGED[5] = 255;

test.each(['digest', 'blobId'] as const)('hands out the last chunk when the %s is right, and only then', async (by) => {
  expect((await read(new VerifiedReader(fileOf(CONTENT, by)), WHOLE)).equals(CONTENT)).toBe(true);
  let received = 0;
  const damaged = async (): Promise<void> => {
    for await (const chunk of new VerifiedReader(fileOf(DAMAGED, by)).open(WHOLE, {})) received += chunk.byteLength;
  };
  await expect(damaged()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  expect(received).toBeLessThan(CONTENT.byteLength);
});

test('goes on where a range follows, and reads nothing twice', async () => {
  const opened: number[] = [];
  const reader = new VerifiedReader(fileOf(CONTENT, 'digest', opened));
  const parts = [
    await read(reader, { start: 0, end: 300 }),
    await read(reader, { start: 300, end: 900 }),
    await read(reader, { start: 900, end: 1000 }),
  ];
  expect(Buffer.concat(parts).equals(CONTENT)).toBe(true);
  expect(opened).toEqual([0, 300, 900]);
});

test('checks the whole file where a range does not follow', async () => {
  const opened: number[] = [];
  const reader = new VerifiedReader(fileOf(CONTENT, 'digest', opened));
  await read(reader, { start: 0, end: 500 });
  expect((await read(reader, { start: 200, end: 1000 })).equals(CONTENT.subarray(200))).toBe(true);
  expect(opened).toEqual([0, 0]);
  await expect(read(new VerifiedReader(fileOf(DAMAGED, 'digest')), { start: 200, end: 1000 })).rejects.toMatchObject({
    code: 'DIGEST_MISMATCH',
  });
});

test.each(['digest', 'blobId', 'nothing'] as const)('notices what is cut off or too long (%s)', async (by) => {
  await expect(read(new VerifiedReader(fileOf(CONTENT.subarray(0, 999), by)), WHOLE)).rejects.toMatchObject({
    code: expect.stringMatching(/SIZE_MISMATCH|DIGEST_MISMATCH/) as string,
  });
  const long: RemoteFile = {
    ...fileOf(CONTENT, by),
    async *open() {
      yield Buffer.concat([CONTENT, CONTENT]);
    },
  };
  await expect(read(new VerifiedReader(long), WHOLE)).rejects.toMatchObject({ code: 'SIZE_MISMATCH' });
});
