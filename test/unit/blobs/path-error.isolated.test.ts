import type * as fs from 'node:fs';
import { expect, onTestFinished, test, vi } from 'vitest';
import { asPathError } from '../../../src/blobs/path-error.ts';
import { KitError } from '../../../src/errors.ts';

const system = vi.hoisted(() => ({ accessSync: vi.fn<(path: string, mode: number) => void>() }));
vi.mock('node:fs', async (original) => ({ ...(await original<typeof fs>()), ...system }));

test.each([
  ['ENOSPC', 'DISK_FULL'],
  ['EDQUOT', 'DISK_FULL'],
  ['EACCES', 'PATH_UNREADABLE'],
  ['ENOENT', 'PATH_NOT_FOUND'],
  ['ELOOP', 'PATH_UNSUPPORTED'],
  ['EIO', 'IO_FAILED'],
  ['EROFS', 'IO_FAILED'],
])('%s becomes %s and names the path', (code, expected) => {
  const error = Object.assign(new Error(code), { code, errno: -1 });
  expect(asPathError(error, '/a/b')).toMatchObject({ code: expected, message: expect.stringContaining('/a/b') as string, cause: error });
});

test('a folder that cannot be made for another reason than a missing part', () => {
  // as `mkdir` with parents has it on a read-only file system
  const error = Object.assign(new Error('ENOENT'), { code: 'ENOENT', errno: -2, syscall: 'mkdir' });
  system.accessSync.mockImplementation(() => {
    throw Object.assign(new Error('EROFS'), { code: 'EROFS', errno: -30 });
  });
  onTestFinished(() => void system.accessSync.mockReset());
  expect(asPathError(error, '/no/such/folder')).toMatchObject({
    code: 'IO_FAILED',
    message: '/no/such/folder: the file system is read-only',
  });
  expect(system.accessSync).toHaveBeenCalledWith('/', expect.anything());
});

test('permissions are looked at where something is', () => {
  const error = Object.assign(new Error('EACCES'), { code: 'EACCES', errno: -13 });
  expect(asPathError(error, '/no/such/folder')).toMatchObject({ hint: 'check the permissions: `ls -ld /`' });
});

test('other errors stay as they are', () => {
  for (const error of [new Error('x'), new KitError('NETWORK', 'x')]) expect(asPathError(error, '/a')).toBe(error);
});
