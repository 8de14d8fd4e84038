import { posix } from 'node:path';
import { safePath } from '../../blobs/safe-path.ts';
import type { Bytes } from '../../blob-source.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { RemoteFile } from '../../hub/remote-file.ts';
import { readWebFile, type WebFile } from '../../hub/web-file.ts';
import type { WebHttp } from '../../hub/web-http.ts';
import { redactUrl } from '../../registry/redact.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import { isArchiveName, openArchiveSource } from './local.ts';
import type { ImportLocation, ImportSource } from './source.ts';
import { ImportTree } from './tree.ts';
import type { Kit } from '../kit.ts';

/** One file, or the files of an archive, of a web server. @throws KitError PATH_NOT_FOUND | UNSUPPORTED | NETWORK ... */
export async function openWebSource(kit: Kit, http: WebHttp, location: ImportLocation, call: CallOptions): Promise<ImportSource> {
  const url = new URL(location.source);
  const authorization = location.token === undefined ? credentialsIn(url) : `Bearer ${location.token}`;
  url.username = '';
  url.password = '';
  url.hash = '';
  const uri = redactUrl(url);
  const name = nameOf(url);
  const annotations = { [ANNOTATION.source]: uri };
  const asked = { url, subject: uri, authorization, call };
  const { size, etag } = await probe(http, asked);
  const file: WebFile | undefined = size === undefined ? undefined : { http, url, subject: uri, size, authorization, isUnnamed: true };
  if (location.tool !== 'file' && isArchiveName(name)) {
    const bytes: Bytes =
      file === undefined ? (await http.request({ ...asked, isBulk: true })).body : readWebFile(file, { start: 0, end: file.size }, call);
    return { ...(await openArchiveSource(kit, bytes, location, name)), annotations, uri };
  }
  if (file === undefined)
    throw new KitError('UNSUPPORTED', `${uri}: the server does not say how large the file is`, {
      hint: 'download it, and import it from here',
    });
  const remote: RemoteFile = {
    path: name,
    size: file.size,
    mode: 0o644,
    digest: undefined,
    blobId: undefined,
    etag,
    open: (range, options) => readWebFile(file, range, options),
  };
  return {
    name: name.replace(/\.[^.]*$/, ''),
    tree: new ImportTree([remote]),
    card: { type: 'model', id: name.replace(/\.[^.]*$/, '') },
    annotations,
    revision: undefined,
    uri,
    below: name,
  };
}

interface Asked {
  readonly url: URL;
  readonly subject: string;
  readonly authorization: string | undefined;
  readonly call: CallOptions;
}

/** Size and strong ETag, by the first byte: more servers answer that than HEAD. */
async function probe(http: WebHttp, asked: Asked): Promise<{ readonly size: number | undefined; readonly etag: string | undefined }> {
  const response = await http.request({ ...asked, headers: { range: 'bytes=0-0' }, accept: [200, 206], isBulk: true });
  await response.discard();
  const text = response.status === 206 ? /\/(\d+)$/.exec(response.header('content-range') ?? '')?.[1] : response.header('content-length');
  const size = Number(text);
  return {
    size: text === undefined || !Number.isSafeInteger(size) ? undefined : size,
    etag: /^"(.*)"$/s.exec(response.header('etag') ?? '')?.[1],
  };
}

function nameOf({ pathname, href }: URL): string {
  try {
    const name = safePath(decodeURIComponent(posix.basename(pathname)), href);
    if (name !== '' && !name.includes('/')) return name;
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
  }
  throw new KitError('REFERENCE_INVALID', `${href} names no file`, { hint: 'for a git repository add `--tool git`' });
}

function credentialsIn({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  return `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`;
}
