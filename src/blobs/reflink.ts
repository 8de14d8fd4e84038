import { constants } from 'node:fs';
import { chmod, copyFile, link, stat, unlink } from 'node:fs/promises';

/**
 * Makes `to` a new file that shares the blocks of `from` until one of them is written to (btrfs, xfs, zfs, APFS). Its mode is that of
 * `from`. False, with nothing made, where that cannot be done; an error only when `to` exists already (EEXIST).
 */
export async function reflink(from: string, to: string): Promise<boolean> {
  return await unlessTaken(async () => await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL));
}

/**
 * Gives `from` the second name `to` and takes the right to write from both. False, with nothing made, where that cannot be done: another
 * file system, too many links, a file of another user; an error only when `to` exists already (EEXIST).
 */
export async function linkReadOnly(from: string, to: string): Promise<boolean> {
  return await unlessTaken(async () => {
    await link(from, to);
    try {
      if (((await stat(to)).mode & 0o777) !== 0o444) await chmod(to, 0o444);
    } catch (error) {
      await unlink(to);
      throw error;
    }
  });
}

// why it cannot be done does not matter: whoever copies instead meets what is wrong with the file itself
async function unlessTaken(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    return false;
  }
}
