import { open } from 'node:fs/promises';

/**
 * Waits until what was written to the file is on the disk, by whatever handle it was written. Content must be there before the rename
 * that makes it final: a power cut may keep the new name and lose the bytes otherwise. Throws the errors of the file system.
 */
export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r+');
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** The same for the names in a directory, where the system can do that. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close().catch(() => undefined);
}
