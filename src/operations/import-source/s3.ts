import { posix } from 'node:path';
import { safePath } from '../../blobs/safe-path.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { RemoteFile } from '../../hub/remote-file.ts';
import { S3, type S3Object } from '../../hub/s3-client.ts';
import { s3File } from '../../hub/s3-file.ts';
import { parseS3Reference, type S3Reference } from '../../hub/s3-reference.ts';
import type { WebHttp } from '../../hub/web-http.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import { selectFiles } from './filter.ts';
import { isArchiveName, openArchiveSource } from './local.ts';
import type { ImportLocation, ImportSource } from './source.ts';
import { ImportTree } from './tree.ts';
import type { Kit } from '../kit.ts';

/** An object of S3, the files of an archive there, or the objects below a prefix. @throws KitError PATH_NOT_FOUND | DENIED | UNSAFE_PATH ... */
export async function openS3Source(kit: Kit, http: WebHttp, location: ImportLocation, call: CallOptions): Promise<ImportSource> {
  const { source: uri } = location;
  const reference = parseS3Reference(uri);
  const s3 = await S3.open(http, kit.env);
  const objects = await s3.objects(reference, call);
  const annotations = { [ANNOTATION.source]: uri };
  const files = objects.map((object) => s3File(s3, http, object, pathOf(reference, object)));
  const [only] = files;
  if (only === undefined) throw new KitError('PATH_NOT_FOUND', `${uri} holds no objects`, { hint: 'check the prefix: it ends in a slash' });
  if (location.tool !== 'file' && !reference.isPrefix && isArchiveName(only.path))
    return { ...(await openArchiveSource(kit, only.open({ start: 0, end: only.size }, call), location, only.path)), annotations, uri };
  const name = nameOf(reference, only);
  return {
    name,
    tree: new ImportTree(selectFiles(files, location, undefined, uri)),
    card: { type: 'model', id: name },
    annotations,
    revision: undefined,
    uri,
    below: reference.isPrefix ? undefined : only.path,
  };
}

/** Keys are whatever somebody wrote. @throws KitError UNSAFE_PATH */
function pathOf({ key, isPrefix, bucket }: S3Reference, object: S3Object): string {
  const written = isPrefix ? object.key.slice(key.length) : posix.basename(key);
  if (safePath(written, `s3://${bucket}`) === written) return written;
  throw new KitError('UNSAFE_PATH', `s3://${bucket} names the odd path ${JSON.stringify(object.key)}`);
}

function nameOf({ key, bucket, isPrefix }: S3Reference, { path }: RemoteFile): string {
  if (!isPrefix) return path.replace(/\.[^.]*$/, '') || path;
  return posix.basename(key) || bucket;
}
