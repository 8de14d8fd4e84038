import { isIP } from 'node:net';
import { posix } from 'node:path';
import { safePath } from '../../blobs/safe-path.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { RemoteFile } from '../../hub/remote-file.ts';
import type { WebHttp } from '../../hub/web-http.ts';
import type { RemoteEntry } from '../../kitfile/types.ts';
import { literalHost } from '../../registry/address.ts';
import { openImportSource } from '../import-source/open.ts';
import type { ImportLocation } from '../import-source/source.ts';
import type { Kit } from '../kit.ts';

/** A file that an entry refers to. */
export interface ReferredFile {
  /** Below the path of the entry; empty where the entry is the file. */
  readonly path: string;
  readonly file: RemoteFile;
}

/** What an entry refers to, looked up: nothing of it was read. */
export interface RemoteContent {
  readonly files: readonly ReferredFile[];
  /** The commit, where there is one. */
  readonly revision: string | undefined;
  dispose(): Promise<void>;
}

/** Looks up what an entry refers to. @param revision the commit, where it is a repository and one is known */
export async function openRemoteContent(
  kit: Kit,
  http: WebHttp,
  entry: RemoteEntry,
  revision: string | undefined,
  call: CallOptions,
): Promise<RemoteContent> {
  const location = locate(entry.remotePath);
  const pinned = revision === undefined || location.tool === 'file' ? location : { ...location, revision };
  const source = await openImportSource(kit, http, pinned, call);
  try {
    const { below } = source;
    const files = source.tree.filesBelow(below ?? '').map((file) => ({ path: relativePath(entry, file.path, below), file }));
    return { files, revision: source.revision, dispose: async () => await source.dispose?.() };
  } catch (error) {
    await source.dispose?.();
    throw error;
  }
}

// repositories are told by their scheme: what else is there is one file
function locate(remotePath: string): ImportLocation {
  if (remotePath.startsWith('hf://')) return { source: remotePath, tool: 'hf' };
  const [, source, revision, below] = /^git\+(https?:\/\/[^@#]+)(?:@([^#]*))?(?:#(.*))?$/.exec(remotePath) ?? [];
  if (source !== undefined)
    return { source, tool: 'git', revision: revision || undefined, ...(below && { below: safePath(below, remotePath) }) };
  if (!/^(?:s3|https?):\/\//.test(remotePath) || URL.parse(remotePath) === null)
    throw new KitError('UNSUPPORTED', `nothing can be fetched from ${JSON.stringify(remotePath)}`, {
      hint: 'a remotePath is s3://, hf://, https:// or git+https://, or the reference of a ModelKit',
    });
  if (isLinkLocal(remotePath))
    throw new KitError('DENIED', `${remotePath} is an address that a machine keeps for itself: nothing is fetched from it`, {
      hint: 'serve the file from another address',
    });
  return { source: remotePath, tool: 'file' };
}

/** Where clouds tell a machine its secrets. */
function isLinkLocal(remotePath: string): boolean {
  const url = URL.parse(remotePath);
  const host = url === null ? '' : literalHost(url);
  return isIP(host) !== 0 && /^(?:169\.254\.|fe[89ab][0-9a-f]:|fd00:ec2:|::ffff:a9fe:)/i.test(host);
}

function relativePath({ path = '' }: RemoteEntry, file: string, below: string | undefined): string {
  if (file === below) return path === '' || path.endsWith('/') ? posix.basename(file) : '';
  return below === undefined ? file : file.slice(below.length + 1);
}
