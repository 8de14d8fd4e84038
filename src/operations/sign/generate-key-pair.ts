import { lstat, open, unlink } from 'node:fs/promises';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import { makeKeyPair } from '../../signing/key-pair.ts';

export interface KeyPairArguments {
  /** `cosign` makes cosign.key and cosign.pub. */
  readonly prefix: string;
  /** Asked for when nothing is in the way. */
  readonly password: () => Promise<string>;
}

export interface KeyPairResult {
  readonly privateKey: string;
  readonly publicKey: string;
  readonly keyId: string;
}

/**
 * Makes a P-256 key pair: the private key encrypted as cosign does, readable by its owner alone. Nothing is overwritten.
 * @throws KitError PATH_EXISTS | PATH_NOT_FOUND | PATH_UNREADABLE
 */
export async function generateKeyPair({ prefix, password }: KeyPairArguments): Promise<KeyPairResult> {
  const privateKey = `${prefix}.key`;
  const publicKey = `${prefix}.pub`;
  for (const file of [privateKey, publicKey]) await requireAbsent(file);
  const pair = await makeKeyPair(await password());
  await writeNew(privateKey, pair.privatePem, 0o600);
  try {
    await writeNew(publicKey, pair.publicPem, 0o644);
  } catch (error) {
    await unlink(privateKey).catch(() => undefined);
    throw error;
  }
  return { privateKey, publicKey, keyId: pair.keyId };
}

async function requireAbsent(file: string): Promise<void> {
  try {
    await lstat(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw asPathError(error, file);
  }
  throw exists(file);
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  let created = false;
  try {
    // whoever else makes the same name now wins or loses as a whole
    await using handle = await open(file, 'wx', mode);
    created = true;
    await handle.chmod(mode);
    await handle.writeFile(text);
    await handle.sync();
  } catch (error) {
    if (created) await unlink(file).catch(() => undefined);
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? exists(file, error) : asPathError(error, file);
  }
}

function exists(file: string, cause?: unknown): KitError {
  return new KitError('PATH_EXISTS', `${file} exists, and a key is never overwritten`, {
    hint: 'choose another name with `--output-key-prefix`, or move the old one away',
    cause,
  });
}
