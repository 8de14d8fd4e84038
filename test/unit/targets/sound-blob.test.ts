import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describe as descriptorOf } from '../../../src/oci/descriptor.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { readSoundBlob } from '../../../src/targets/sound-blob.ts';

const content = Buffer.from('{"a":1}');
const blob = descriptorOf('application/json', content);
let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kit-sound-'));
  path = join(folder, 'blob');
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('gives content that holds, also of no bytes and under sha512', async () => {
  await writeFile(path, content);
  expect(readSoundBlob(path, blob)).toEqual(content);
  expect(readSoundBlob(path, { ...blob, digest: digestOf(content, 'sha512') })).toEqual(content);
  const none = descriptorOf('application/json', Buffer.alloc(0));
  await writeFile(path, '');
  expect(readSoundBlob(path, none)).toEqual(Buffer.alloc(0));
});

test('what it gave is not written to by the next call', async () => {
  await writeFile(path, content);
  const first = readSoundBlob(path, blob);
  const other = Buffer.from('{"b":2}');
  await writeFile(path, other);
  expect(readSoundBlob(path, descriptorOf('application/json', other))).toEqual(other);
  expect(first).toEqual(content);
});

test('leaves all else to the ordinary way', async () => {
  expect(readSoundBlob(path, blob)).toBeUndefined();
  await writeFile(path, '{"a":2}');
  expect(readSoundBlob(path, blob)).toBeUndefined();
  await writeFile(path, `${String(content)} `);
  expect(readSoundBlob(path, blob)).toBeUndefined();
  await writeFile(path, content.subarray(1));
  expect(readSoundBlob(path, blob)).toBeUndefined();
  const large = Buffer.alloc(64 * 1024, ' ');
  await writeFile(path, large);
  expect(readSoundBlob(path, descriptorOf('application/json', large))).toBeUndefined();
});

test('neither a folder nor a pipe is waited for', async () => {
  await mkdir(path);
  expect(readSoundBlob(path, blob)).toBeUndefined();
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  expect(readSoundBlob(pipe, blob)).toBeUndefined();
});
