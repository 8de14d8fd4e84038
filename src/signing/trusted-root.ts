import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrustedRoot } from '@sigstore/protobuf-specs';
import { asPathError } from '../blobs/path-error.ts';
import { isKitError, KitError } from '../errors.ts';
import { plainText } from '../registry/redact.ts';

/** Where to learn whom to trust. */
export interface TrustSource {
  /** JSON as `cosign trusted-root create` writes it: nothing is fetched. */
  readonly file?: string | undefined;
  /** TUF repository. Default: the public one of sigstore. */
  readonly tufMirror?: string | undefined;
  /** File with the first root of that repository. The public one is known. */
  readonly tufRoot?: string | undefined;
  /** True: what was fetched last is used. */
  readonly offline?: boolean | undefined;
  /** Where fetched roots are kept. */
  readonly cache: string;
}

const PUBLIC_MIRROR = 'https://tuf-repo-cdn.sigstore.dev';
const TARGET = 'trusted_root.json';

/** @throws KitError CONFIG_INVALID | PATH_NOT_FOUND | NETWORK */
export async function loadTrustedRoot({ file, tufMirror = PUBLIC_MIRROR, tufRoot, offline, cache }: TrustSource): Promise<TrustedRoot> {
  if (file !== undefined) return await readTrustedRoot(file);
  const mirror = tufMirror.replace(/\/$/, '');
  if (!URL.canParse(mirror))
    throw new KitError('CONFIG_INVALID', `the TUF repository ${tufMirror} is no URL`, { hint: 'write it as https://HOST/PATH' });
  if (offline === true) return await readCached(cache, mirror);
  if (tufRoot !== undefined) await readFile(tufRoot).catch((error: unknown) => Promise.reject(asPathError(error, tufRoot)));
  const { getTrustedRoot } = await import('@sigstore/tuf');
  try {
    // a root that is given counts, not the one that was given once
    return await getTrustedRoot({
      mirrorURL: mirror,
      cachePath: cache,
      ...(tufRoot !== undefined && { rootPath: tufRoot, forceInit: true }),
    });
  } catch (cause) {
    throw failed(mirror, cause as Error, existsSync(keptFile(cache, mirror)));
  }
}

/** The file that the library keeps once it has checked it. When it first asks the public repository, it puts the one there that it came with. */
function keptFile(cache: string, mirror: string): string {
  const { host, pathname } = new URL(mirror);
  return join(cache, encodeURIComponent(host + pathname.replace(/\/$/, '')), 'targets', TARGET);
}

async function readCached(cache: string, mirror: string): Promise<TrustedRoot> {
  try {
    return await readTrustedRoot(keptFile(cache, mirror));
  } catch (cause) {
    if (!isKitError(cause, 'PATH_NOT_FOUND')) throw cause;
    throw new KitError('CONFIG_INVALID', `no trusted root of ${mirror} was fetched before, so none can be used offline`, {
      hint: 'verify once without `--offline`, or give `--trusted-root FILE`',
      cause,
    });
  }
}

async function readTrustedRoot(file: string): Promise<TrustedRoot> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => Promise.reject(asPathError(error, file)));
  const [{ TrustedRoot: schema }, { toTrustMaterial }] = await Promise.all([
    import('@sigstore/protobuf-specs'),
    import('@sigstore/verify'),
  ]);
  try {
    const json: unknown = JSON.parse(text);
    const root = schema.fromJSON(json);
    if (!root.mediaType.startsWith('application/vnd.dev.sigstore.trustedroot')) throw new Error(`its mediaType is \`${root.mediaType}\``);
    // keys and certificates are parsed here
    toTrustMaterial(root);
    return root;
  } catch (cause) {
    throw new KitError('CONFIG_INVALID', `${file} is no trusted root of sigstore: ${plainText((cause as Error).message)}`, {
      hint: 'make one with `cosign trusted-root create`',
      cause,
    });
  }
}

function failed(mirror: string, error: Error & { code?: string; cause?: unknown }, isKept: boolean): KitError {
  const why = plainText((error.cause as Error | undefined)?.message ?? error.message);
  if (error.code === 'TUF_INIT_CACHE_ERROR') {
    return new KitError('CONFIG_INVALID', `the first root of the TUF repository ${mirror} is not known`, {
      hint: 'give it with `--tuf-root FILE`',
      cause: error,
    });
  }
  return new KitError('NETWORK', `the trusted root cannot be had from the TUF repository ${mirror}: ${why}`, {
    hint: isKept ? '`--offline` uses the one that is kept here; or give `--trusted-root FILE`' : 'try again, or give `--trusted-root FILE`',
    cause: error,
  });
}
