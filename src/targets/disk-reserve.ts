import { unlink, writeFile } from 'node:fs/promises';
import { isKitError } from '../errors.ts';

/** Enough for a lock file, an index and a few of KitOps' files. */
const RESERVE_BYTES = 256 * 1024;

/**
 * A file that only takes up room, so that there is some to give up when the disk is full to the last byte:
 * removing an artifact has to write an index before it frees anything.
 */
export class DiskReserve {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes the file where it is missing; a disk without room for it is no reason to fail. */
  async keep(): Promise<void> {
    // content that is not zero, for file systems that store zeros as nothing
    await writeFile(this.#path, Buffer.alloc(RESERVE_BYTES, 'reserve\n'), { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') void unlink(this.#path).catch(() => undefined);
    });
  }

  /** Runs `work`, once more on the room that the file took when there is none left. */
  async spend<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isKitError(error, 'DISK_FULL')) throw error;
      const freed = await unlink(this.#path).then(
        () => true,
        () => false,
      );
      if (!freed) throw error;
      return await work();
    }
  }
}
