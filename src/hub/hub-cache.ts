import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type FileStamp, stampOf } from '../blobs/file-stamp.ts';
import type { HubReference } from './hub-reference.ts';

/** A file of huggingface_hub's cache, as it was when it was looked at. */
export interface CachedFile {
  readonly source: string;
  readonly stamp: FileStamp;
}

/** `models--ORG--NAME/blobs/ETAG` below `cache`, if it is there in full; `etag` is the SHA-256 of LFS, or git's id. Not verified. */
export async function findCached(
  cache: string,
  { type, id }: HubReference,
  etag: string | undefined,
  size: number,
): Promise<CachedFile | undefined> {
  if (etag === undefined) return undefined;
  const source = join(cache, `${type}s--${id.replace('/', '--')}`, 'blobs', etag);
  const stats = await stat(source, { bigint: true }).catch(() => undefined);
  return stats?.isFile() === true && Number(stats.size) === size ? { source, stamp: stampOf(stats) } : undefined;
}
