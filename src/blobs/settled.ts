import { lstatSync, statfsSync } from 'node:fs';
import { type FileStamp, identicalStamp, stampOf } from './file-stamp.ts';

/** A stamp, and the file that it was taken of. */
export interface StampedFile {
  /** Real path. */
  readonly source: string;
  readonly stamp: FileStamp;
}

/**
 * Linux file systems (statfs(2) f_type) whose ctime the kernel sets at every change of a file, for itself and at once. Elsewhere stamps
 * prove nothing: a network file system answers from caches and by another machine's clock, FAT derives the ctime from the mtime.
 */
const LOCAL_TYPES: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
  0x2fc12fc1, // zfs
  0xf2f52010, // f2fs
]);
/** Stamps move with the kernel's tick, at most 10 ms apart; more, for a busy machine. */
const FINE_MS = 50;
/** Where stamps are whole seconds (ext3, small inodes), or two. */
const COARSE_MS = 3000;
const NS_PER_MS = 1_000_000n;
const FILES_AT_ONCE = 1000;

/**
 * True when a write after `lookedAt` (ms since 1970, not after the stamp was taken) must show in the stamp: the last change is further
 * back than the stamps are apart. A file just written, or one from the future, has not settled: what is written next may leave its
 * stamp as it is.
 */
export function isSettled({ mtimeNs, ctimeNs }: FileStamp, lookedAt: number, fileSystem: number): boolean {
  if (!LOCAL_TYPES.has(fileSystem)) return false;
  const isFine = ctimeNs % NS_PER_MS !== 0n;
  const last = mtimeNs > ctimeNs ? mtimeNs : ctimeNs;
  return BigInt(Math.trunc(lookedAt)) * NS_PER_MS - last > BigInt(isFine ? FINE_MS : COARSE_MS) * NS_PER_MS;
}

/**
 * True when what was read of the files since `lookedAt` is what files with these stamps hold, now and for as long as they keep them.
 * What escapes: a clock that is set back; and a program that maps a file for writing, for the kernel stamps its first store to a page
 * and none of the following until that page was written back (some 30 s; on tmpfs never). Reading beside such a writer gives a torn
 * copy whether it is remembered or not; `pack --no-cache` reads again what it left.
 */
export async function haveSettled(files: Iterable<StampedFile>, lookedAt: number): Promise<boolean> {
  const types = new Map<bigint, number>();
  let count = 0;
  for (const { source, stamp } of files) {
    // many small files take a while: others may go on in between
    if (++count % FILES_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    try {
      const type = types.get(stamp.device) ?? statfsSync(source).type >>> 0;
      types.set(stamp.device, type);
      if (!isSettled(stamp, lookedAt, type)) return false;
      if (!identicalStamp(stampOf(lstatSync(source, { bigint: true })), stamp)) return false;
    } catch {
      return false;
    }
  }
  return true;
}
