import { expect, test } from 'vitest';
import { asPathError } from '../../../src/blobs/path-error.ts';
import { KitError } from '../../../src/errors.ts';

test.each([
  ['ENOSPC', 'DISK_FULL'],
  ['EDQUOT', 'DISK_FULL'],
  ['EACCES', 'PATH_UNREADABLE'],
  ['ENOENT', 'PATH_NOT_FOUND'],
  ['ELOOP', 'PATH_UNSUPPORTED'],
  ['EIO', 'IO_FAILED'],
])('%s becomes %s and names the path', (code, expected) => {
  const error = Object.assign(new Error(code), { code, errno: -1 });
  expect(asPathError(error, '/a/b')).toMatchObject({ code: expected, message: expect.stringContaining('/a/b') as string, cause: error });
});

test('other errors stay as they are', () => {
  for (const error of [new Error('x'), new KitError('NETWORK', 'x')]) expect(asPathError(error, '/a')).toBe(error);
});
