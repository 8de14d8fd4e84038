import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { safePath } from '../../blobs/safe-path.ts';
import type { CallOptions } from '../../events.ts';
import { KitError } from '../../errors.ts';
import { fetchRevision, type GitEntry, GitRepository, listPointers, listTree } from '../../hub/git.ts';
import { remoteName } from '../../hub/remote-name.ts';
import { lfsFiles, parsePointer } from '../../hub/lfs.ts';
import type { RemoteFile } from '../../hub/remote-file.ts';
import type { WebHttp } from '../../hub/web-http.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import { selectFiles } from './filter.ts';
import type { ImportLocation, ImportSource } from './source.ts';
import { ImportTree } from './tree.ts';
import type { Kit } from '../kit.ts';

/** A pointer is a few lines. */
const MAX_POINTER = 1024;

/**
 * A git repository: its history is fetched, below the home of kit until the source is disposed of; what git LFS keeps is not, it goes
 * straight to where it is wanted. @throws KitError REFERENCE_NOT_FOUND | NETWORK | UNSUPPORTED ...
 */
export async function openGitSource(kit: Kit, http: WebHttp, location: ImportLocation, call: CallOptions): Promise<ImportSource> {
  await mkdir(join(kit.home, 'cache'), { recursive: true });
  const folder = await mkdtemp(join(kit.home, 'cache', 'import-'));
  const dispose = async (): Promise<void> => await rm(folder, { recursive: true, force: true });
  try {
    const url = location.source.replace(/^git\+/, '');
    const repository = new GitRepository({ folder, url, token: location.token, env: kit.env });
    const commit = await fetchRevision(repository, location.revision, call);
    const { name, uri } = remoteName(url);
    const entries = selectFiles(await regularFiles(repository, commit, call), location, location.below, name);
    const pointers = await listPointers(repository, commit, call);
    const files: WithPointer[] = [];
    for (const entry of entries)
      files.push(pointers.has(entry.path) ? await withPointer(repository, entry, call) : { entry, pointer: undefined });
    const stored = files.filter(({ pointer }) => pointer !== undefined);
    const large = stored.length === 0 ? new Map<string, RemoteFile>() : await lfsFiles(repository, http, stored, call);
    return {
      name,
      tree: new ImportTree(
        files.map(({ entry, pointer }) => large.get(pointer === undefined ? '' : entry.path) ?? gitFile(repository, entry)),
      ),
      card: { type: 'model', id: name },
      annotations: { ...(uri !== undefined && { [ANNOTATION.source]: uri }), [ANNOTATION.revision]: commit },
      revision: commit,
      uri: uri ?? url,
      below: location.below,
      dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function regularFiles(repository: GitRepository, commit: string, call: CallOptions): Promise<GitEntry[]> {
  const entries = await listTree(repository, commit, call);
  const files: GitEntry[] = [];
  for (const entry of entries) {
    if (safePath(entry.path, repository.url) !== entry.path)
      throw new KitError('UNSAFE_PATH', `${repository.url} names the odd path ${JSON.stringify(entry.path)}`);
    if (entry.kind === 'file') files.push(entry);
    else {
      const message = `${entry.path} is a ${entry.kind}, which is left out`;
      call.onEvent?.({ type: 'warning', code: 'IMPORT_LEFT_OUT', message });
    }
  }
  return files;
}

type WithPointer = { readonly entry: GitEntry; readonly pointer: ReturnType<typeof parsePointer> };

async function withPointer(repository: GitRepository, entry: GitEntry, call: CallOptions): Promise<WithPointer> {
  if (entry.size > MAX_POINTER) return { entry, pointer: undefined };
  return { entry, pointer: parsePointer(await repository.read(entry.id, MAX_POINTER, call)) };
}

function gitFile(repository: GitRepository, { path, size, mode, id }: GitEntry): RemoteFile {
  const blobId = id.length === 40 ? id : undefined;
  return { path, size, mode, digest: undefined, blobId, open: (range, call) => repository.open(id, range, call) };
}
