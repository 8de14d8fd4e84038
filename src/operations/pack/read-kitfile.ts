import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { KITFILE_NAMES, MAX_KITFILE_SIZE, parseKitfile } from '../../kitfile/parse.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import { kitfileWarnings, validateKitfile } from '../../kitfile/validate.ts';

/** The text of a Kitfile and how messages name it. */
export interface KitfileText {
  readonly text: string;
  readonly file: string;
}

/**
 * The Kitfile of a directory, or the one at `path`: relative to the directory, as kit reads it, else to the working directory.
 * @throws KitError KITFILE_NOT_FOUND | PATH_NOT_FOUND | PATH_UNREADABLE
 */
export async function findKitfile(directory: string, path?: string): Promise<KitfileText> {
  if (path !== undefined) {
    const inside = resolve(directory, path);
    const file = (await stat(inside).catch(() => undefined)) === undefined ? path : inside;
    return { text: await readText(file), file: path };
  }
  for (const name of KITFILE_NAMES) {
    const file = join(directory, name);
    if ((await stat(file).catch(() => undefined)) !== undefined) return { text: await readText(file), file };
  }
  // a missing directory is the better news
  await stat(directory).catch((error: unknown) => {
    throw asPathError(error, directory);
  });
  throw new KitError('KITFILE_NOT_FOUND', `no Kitfile found in ${directory}`, {
    hint: `\`kit init ${directory}\` writes one; \`--file\` names another`,
  });
}

async function readText(file: string): Promise<string> {
  try {
    if ((await stat(file)).size > MAX_KITFILE_SIZE)
      throw new KitError('KITFILE_INVALID', `${file} is larger than a Kitfile may be (1 MiB)`);
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(file));
  } catch (error) {
    if (error instanceof TypeError) throw new KitError('KITFILE_INVALID', `${file} is not UTF-8 text`, { cause: error });
    throw asPathError(error, file);
  }
}

/** Parses and validates. Warnings go out as events. @throws KitError KITFILE_INVALID */
export function readKitfile({ text, file }: KitfileText, call: CallOptions): Kitfile {
  const { kitfile, locate } = parseKitfile(text, file);
  validateKitfile(kitfile, file, locate);
  for (const message of kitfileWarnings(kitfile)) call.onEvent?.({ type: 'warning', code: 'KITFILE', message });
  return kitfile;
}
