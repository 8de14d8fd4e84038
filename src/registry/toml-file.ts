import { readFile, stat } from 'node:fs/promises';
import { KitError } from '../errors.ts';

const MAX_BYTES = 1024 * 1024;

/** The text of a configuration file; undefined when there is none and none must be. @throws KitError CONFIG_INVALID */
export async function readToml(file: string, mustExist: boolean): Promise<string | undefined> {
  try {
    const { size } = await stat(file);
    if (size <= MAX_BYTES) return await readFile(file, 'utf8');
  } catch (cause) {
    if (isMissing(cause) && !mustExist) return undefined;
    throw new KitError('CONFIG_INVALID', `${file}: the file ${isMissing(cause) ? 'does not exist' : 'cannot be read'}`, { cause });
  }
  throw new KitError('CONFIG_INVALID', `${file}: more than ${MAX_BYTES} bytes are too many for a configuration file`);
}

export function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
