import { linkSync, lstatSync, renameSync, statfsSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, type TestContext } from 'vitest';
import { stampOf } from '../../../src/blobs/file-stamp.ts';
import { haveSettled, isSettled, type StampedFile } from '../../../src/blobs/settled.ts';
import { temporaryDirectory } from './workspace.ts';

const EXT4 = 0xef53;
const NFS = 0x6969;
const MS = 1_000_000n;
/** Ends in digits below the millisecond. */
const FINE = 1_700_000_000_000_000_123n;
const COARSE = 1_700_000_000_000_000_000n;
const LATER = 60_000;

const stamp = (mtimeNs: bigint, ctimeNs: bigint) => ({ device: 1n, inode: 1n, size: 1, mtimeNs, ctimeNs });
const msAfter = (ns: bigint, ms: number): number => Number(ns / MS) + ms;

describe('a stamp has settled', () => {
  test('50 ms after the last change where stamps are fine, 3 s where they are whole seconds', () => {
    expect(isSettled(stamp(FINE, FINE), msAfter(FINE, 50), EXT4)).toBe(false);
    expect(isSettled(stamp(FINE, FINE), msAfter(FINE, 51), EXT4)).toBe(true);
    expect(isSettled(stamp(COARSE, COARSE), msAfter(COARSE, 3000), EXT4)).toBe(false);
    expect(isSettled(stamp(COARSE, COARSE), msAfter(COARSE, 3001), EXT4)).toBe(true);
  });

  test('by ctime, for the mtime can be set: an old or rounded mtime proves nothing', () => {
    expect(isSettled(stamp(1n, FINE), msAfter(FINE, 50), EXT4)).toBe(false);
    expect(isSettled(stamp(FINE, COARSE), msAfter(FINE, 2000), EXT4)).toBe(false);
  });

  test('never while it lies in the future', () => {
    expect(isSettled(stamp(FINE, FINE), msAfter(FINE, -1), EXT4)).toBe(false);
    expect(isSettled(stamp(FINE + 3600n * 1000n * MS, FINE), msAfter(FINE, LATER), EXT4)).toBe(false);
  });

  test('never where the ctime is not the work of this kernel', () => {
    for (const type of [NFS, 0x65735546 /* FUSE */, 0xff534d42 /* CIFS */, 0x4d44 /* FAT */, 0])
      expect(isSettled(stamp(FINE, FINE), msAfter(FINE, LATER), type)).toBe(false);
  });
});

function file(context: TestContext): StampedFile & { readonly later: number } {
  const source = join(temporaryDirectory(), 'file');
  writeFileSync(source, 'content');
  const seen = stampOf(lstatSync(source, { bigint: true }));
  if (!isSettled(seen, Date.now() + LATER, statfsSync(source).type >>> 0))
    context.skip('temporary files are on a file system without stamps to rely on');
  return { source, stamp: seen, later: Date.now() + LATER };
}

describe('files that were read have settled', () => {
  test('when they are as they were, and old enough', async (context) => {
    const one = file(context);
    expect(await haveSettled([one], one.later)).toBe(true);
    expect(await haveSettled([one], Number(one.stamp.ctimeNs / MS))).toBe(false);
    expect(await haveSettled([], 0)).toBe(true);
  });

  test('but not when one was rewritten with its size and mtime put back', async (context) => {
    const one = file(context);
    utimesSync(one.source, 1000, 1000);
    const before = { source: one.source, stamp: stampOf(lstatSync(one.source, { bigint: true })) };
    expect(await haveSettled([before], one.later)).toBe(true);
    // the kernel's clock ticks every few milliseconds: until the ctime differs, nothing can tell
    do {
      writeFileSync(one.source, 'CONTENT');
      utimesSync(one.source, 1000, 1000);
    } while (lstatSync(one.source, { bigint: true }).ctimeNs === before.stamp.ctimeNs);
    expect(lstatSync(one.source, { bigint: true }).mtimeNs).toBe(before.stamp.mtimeNs);
    expect(await haveSettled([before], one.later)).toBe(false);
  });

  test('nor when one was replaced, linked or removed', async (context) => {
    const one = file(context);
    linkSync(one.source, `${one.source}.link`);
    expect(await haveSettled([file(context), one], one.later)).toBe(false);
    const other = file(context);
    renameSync(other.source, one.source);
    expect(await haveSettled([one], one.later)).toBe(false);
    expect(await haveSettled([other], one.later)).toBe(false);
  });
});
