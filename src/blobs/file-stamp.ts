import type { BigIntStats } from 'node:fs';

/** What tells that a file is still the one that was looked at. */
export interface FileStamp {
  readonly device: bigint;
  readonly inode: bigint;
  /** Bytes. */
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export function stampOf(stats: BigIntStats): FileStamp {
  return { device: stats.dev, inode: stats.ino, size: Number(stats.size), mtimeNs: stats.mtimeNs, ctimeNs: stats.ctimeNs };
}

/** ctime moves when a link is added or a mode is set, which leaves the content alone: it is not compared here. */
export function sameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.inode === b.inode && a.device === b.device && a.size === b.size && a.mtimeNs === b.mtimeNs;
}

/** Compares the ctime too, which no program can set: true only when nothing at all was done to the file. */
export function identicalStamp(a: FileStamp, b: FileStamp): boolean {
  return sameStamp(a, b) && a.ctimeNs === b.ctimeNs;
}
