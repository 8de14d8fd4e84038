import { open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { withPath } from './io-error.ts';
import { temporaryName } from './temporary-name.ts';

/** Replaces `path` by `content`: readers see the old file or the whole new one, also after a power cut. */
export async function writeFileAtomic(path: string, content: string | Uint8Array): Promise<void> {
  // dot first, so that no tool takes it for a file of the layout
  const temporary = join(dirname(path), `.${basename(path)}.${temporaryName()}.tmp`);
  await withPath(path, async () => {
    try {
      const handle = await open(temporary, 'wx');
      try {
        await handle.writeFile(content);
        await handle.datasync();
      } finally {
        await handle.close();
      }
      await rename(temporary, path);
    } catch (error) {
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
  });
}
