import { open } from 'node:fs/promises';
import { KitError } from '../errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const MAX_KEY_BYTES = 64 * 1024;

/**
 * The text of a key: the file `name`, or the variable of `env://NAME`.
 * @throws KitError PATH_NOT_FOUND | PATH_UNREADABLE | CONFIG_INVALID
 */
export async function readKeyText(name: string, env: Environment): Promise<string> {
  const [, variable] = /^env:\/\/(.*)$/s.exec(name) ?? [];
  if (variable === undefined) return await readFile(name);
  const text = env[variable];
  if (text) return text;
  throw new KitError('CONFIG_INVALID', `${name}: the variable ${variable} is empty or not set`, {
    hint: 'it must hold the key as PEM text',
  });
}

async function readFile(file: string): Promise<string> {
  const bytes = Buffer.alloc(MAX_KEY_BYTES + 1);
  let length = 0;
  try {
    await using handle = await open(file, 'r');
    // a pipe gives less than was asked for, and has no size
    for (let read = 1; read > 0 && length < bytes.length; length += read) {
      ({ bytesRead: read } = await handle.read(bytes, length, bytes.length - length, null));
    }
  } catch (cause) {
    const isMissing = ['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '');
    if (isMissing) throw new KitError('PATH_NOT_FOUND', `there is no key file ${file}`, { hint: 'check the path after `--key`', cause });
    throw new KitError('PATH_UNREADABLE', `the key file ${file} cannot be read`, {
      hint: 'it must be a PEM file that you may read',
      cause,
    });
  }
  if (length > MAX_KEY_BYTES) {
    throw new KitError('CONFIG_INVALID', `${file} is no key file: it has more than ${MAX_KEY_BYTES} bytes`, {
      hint: 'check the path after `--key`',
    });
  }
  return bytes.toString('latin1', 0, length);
}

/** The labels of the PEM blocks in `text`, in order. */
export function pemLabels(text: string): string[] {
  return [...text.matchAll(/^-----BEGIN ([A-Z0-9 ]+)-----\s*$/gm)].map(([, label]) => label ?? '');
}
