import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, type TestContext } from 'vitest';
import { linkReadOnly, reflink } from '../../../src/blobs/reflink.ts';
import { Staging } from '../../../src/blobs/staging.ts';
import { paths, temporaryDirectory } from './workspace.ts';

/** A directory on btrfs, xfs or another file system that shares blocks between files. */
function reflinkDirectory(context: TestContext): string {
  const parent = process.env['KIT_TEST_REFLINK_DIR'];
  if (parent === undefined) return context.skip('KIT_TEST_REFLINK_DIR names no directory on a file system with reflinks');
  const directory = mkdtempSync(join(parent, 'ocikit-reflink-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Extents that `filefrag` marks as shared with another file. */
function isShared(file: string): boolean {
  execFileSync('sync', [file]);
  return / (?:\w+,)*shared/.test(execFileSync('filefrag', ['-v', file], { encoding: 'utf8' }));
}

test('a clone shares its blocks and is a file of its own', async (context) => {
  const root = reflinkDirectory(context);
  const [blob, clone] = [join(root, 'blob'), join(root, 'clone')];
  writeFileSync(blob, Buffer.alloc(1024 * 1024, 'x'));
  chmodSync(blob, 0o444);
  expect(await reflink(blob, clone)).toBe(true);
  expect(readFileSync(clone)).toEqual(readFileSync(blob));
  expect(statSync(clone).ino).not.toBe(statSync(blob).ino);
  expect(isShared(clone)).toBe(true);
  chmodSync(clone, 0o644);
  writeFileSync(clone, 'changed');
  expect(readFileSync(blob)).toEqual(Buffer.alloc(1024 * 1024, 'x'));
  expect(statSync(blob).mode & 0o777).toBe(0o444);
});

test('an empty file is cloned too', async (context) => {
  const root = reflinkDirectory(context);
  writeFileSync(join(root, 'blob'), '');
  expect(await reflink(join(root, 'blob'), join(root, 'clone'))).toBe(true);
  expect(statSync(join(root, 'clone')).size).toBe(0);
});

test('a staged clone has the mode of its layer', async (context) => {
  const root = reflinkDirectory(context);
  writeFileSync(join(root, 'blob'), 'content', { mode: 0o600 });
  const staging = new Staging(join(root, 'out'), 'fail');
  expect(await staging.addClone('bin/tool', 0o755, join(root, 'blob'), 'layer')).toBe(true);
  staging.commit();
  await staging.discard();
  expect(statSync(join(root, 'out/bin/tool')).mode & 0o777).toBe(0o755);
  expect(statSync(join(root, 'blob')).mode & 0o777).toBe(0o600);
});

test('another file system has no clone, and nothing is left', async () => {
  const root = temporaryDirectory();
  expect(await reflink('/proc/self/status', join(root, 'clone'))).toBe(false);
  expect(await linkReadOnly('/proc/self/status', join(root, 'link'))).toBe(false);
  expect(await reflink(join(root, 'missing'), join(root, 'clone'))).toBe(false);
  expect(paths(root)).toEqual([]);
});

test('what is in the way stays', async () => {
  const root = temporaryDirectory();
  writeFileSync(join(root, 'blob'), 'blob');
  writeFileSync(join(root, 'mine'), 'mine');
  await expect(reflink(join(root, 'blob'), join(root, 'mine'))).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(linkReadOnly(join(root, 'blob'), join(root, 'mine'))).rejects.toMatchObject({ code: 'EEXIST' });
  expect(readFileSync(join(root, 'mine'), 'utf8')).toBe('mine');
});

test('a link takes the right to write from both names', async () => {
  const root = temporaryDirectory();
  const [blob, link] = [join(root, 'blob'), join(root, 'link')];
  writeFileSync(blob, 'blob', { mode: 0o644 });
  expect(await linkReadOnly(blob, link)).toBe(true);
  expect(statSync(link).ino).toBe(statSync(blob).ino);
  expect(statSync(blob).mode & 0o777).toBe(0o444);
});
