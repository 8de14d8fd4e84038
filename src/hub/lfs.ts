import { stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { stampOf } from '../blobs/file-stamp.ts';
import { rawLayer } from '../blobs/layer.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { type Digest, isDigest } from '../oci/digest.ts';
import { readLimited } from '../registry/body.ts';
import { redactUrl } from '../registry/redact.ts';
import type { GitEntry, GitRepository } from './git.ts';
import type { RemoteFile } from './remote-file.ts';
import { readWebFile } from './web-file.ts';
import type { WebHttp } from './web-http.ts';

/** What a pointer says of the content (git-lfs, docs/spec.md). */
export interface LfsPointer {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

interface LfsEntry {
  readonly entry: GitEntry;
  readonly pointer: LfsPointer | undefined;
}

const JSON_TYPE = 'application/vnd.git-lfs+json';
/** As git-lfs itself asks. */
const BATCH = 100;
const MAX_ANSWER = 4 * 1024 * 1024;

const answer = z.looseObject({
  objects: z.array(
    z.looseObject({
      oid: z.string(),
      actions: z
        .looseObject({ download: z.looseObject({ href: z.string(), header: z.record(z.string(), z.string()).optional() }).optional() })
        .optional(),
      error: z.looseObject({ code: z.number(), message: z.string() }).optional(),
    }),
  ),
});

/** Undefined for any other file. */
export function parsePointer(content: Buffer): LfsPointer | undefined {
  const text = content.toString();
  if (!text.startsWith('version https://git-lfs.github.com/spec/v1\n')) return undefined;
  const oid = `sha256:${/^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1] ?? ''}`;
  const size = Number(/^size (\d{1,15})$/m.exec(text)?.[1] ?? Number.NaN);
  return isDigest(oid) && Number.isSafeInteger(size) ? { digest: oid, size } : undefined;
}

/** The content behind pointers, by path. @throws KitError BLOB_NOT_FOUND | UNSUPPORTED and those of the server */
export async function lfsFiles(
  repository: GitRepository,
  http: WebHttp,
  entries: readonly LfsEntry[],
  call: CallOptions,
): Promise<Map<string, RemoteFile>> {
  const server = lfsServer(repository.url);
  const open =
    typeof server === 'string' ? await fromDirectory(server, entries) : await fromServer(server, repository, http, entries, call);
  return new Map(
    entries.flatMap(({ entry, pointer }) => {
      if (pointer === undefined) return [];
      const { digest, size } = pointer;
      const file = { path: entry.path, mode: entry.mode, size, digest, blobId: undefined };
      return [[entry.path, { ...file, open: (range, options) => open(file, range, options) } satisfies RemoteFile] as const];
    }),
  );
}

/** The server that belongs to a remote (git-lfs, docs/api/server-discovery.md), or the folder of one on this machine. */
function lfsServer(url: string): URL | string {
  const parsed = /^[a-z+]+:\/\//.test(url) ? URL.parse(url) : null;
  if (parsed?.protocol === 'file:') return fileURLToPath(parsed);
  if (parsed === null && (isAbsolute(url) || /^\.{0,2}\//.test(url))) return url;
  if (parsed === null || !/^https?:$/.test(parsed.protocol))
    throw new KitError('UNSUPPORTED', `${url}: files of git LFS are not fetched over ssh`, {
      hint: 'give the https address of the repository',
    });
  const base = parsed.href.replace(/\/+$/, '');
  return new URL(`${base.endsWith('.git') ? base : `${base}.git`}/info/lfs/objects/batch`);
}

type Open = (
  file: Pick<RemoteFile, 'path' | 'size' | 'mode' | 'digest'>,
  ...rest: Parameters<RemoteFile['open']>
) => ReturnType<RemoteFile['open']>;

async function fromDirectory(directory: string, entries: readonly LfsEntry[]): Promise<Open> {
  const found = new Map<string, { source: string; stamp: ReturnType<typeof stampOf> }>();
  for (const { entry, pointer } of entries) {
    if (pointer === undefined) continue;
    const hex = pointer.digest.slice('sha256:'.length);
    const tail = join('lfs', 'objects', hex.slice(0, 2), hex.slice(2, 4), hex);
    for (const source of [join(directory, '.git', tail), join(directory, tail)]) {
      const stats = await stat(source, { bigint: true }).catch(() => undefined);
      if (stats?.isFile() === true && Number(stats.size) === pointer.size) found.set(pointer.digest, { source, stamp: stampOf(stats) });
    }
    if (!found.has(pointer.digest))
      throw new KitError('BLOB_NOT_FOUND', `${entry.path}: ${directory} does not have the LFS object ${pointer.digest}`, {
        hint: '`git lfs fetch --all` there brings it',
      });
  }
  return ({ path, size, mode, digest = '' }, range, call) => {
    const copy = found.get(digest);
    if (copy === undefined) throw new KitError('INTERNAL', `${path}: an LFS object was not looked up`);
    return rawLayer({ path, size, mode, type: 'file', ...copy }).open(range, call.signal);
  };
}

async function fromServer(
  url: URL,
  repository: GitRepository,
  http: WebHttp,
  entries: readonly LfsEntry[],
  call: CallOptions,
): Promise<Open> {
  const authorization = authorizationFor(url, repository.token);
  const target = new URL(url);
  target.username = '';
  target.password = '';
  const actions = new Map<string, { href: URL; header: Readonly<Record<string, string>> }>();
  for (let from = 0; from < entries.length; from += BATCH) {
    const wanted = entries.slice(from, from + BATCH).flatMap(({ pointer }) => pointer ?? []);
    const objects = wanted.map(({ digest, size }) => ({ oid: digest.slice('sha256:'.length), size }));
    const response = await http.request({
      method: 'POST',
      url: target,
      subject: redactUrl(target),
      authorization,
      headers: { accept: JSON_TYPE, 'content-type': JSON_TYPE },
      body: Buffer.from(JSON.stringify({ operation: 'download', transfers: ['basic'], hash_algo: 'sha256', objects })),
      call,
    });
    for (const { oid, href, header } of readAnswer(await readLimited(response.body, MAX_ANSWER, target.pathname), target))
      actions.set(oid, { href, header });
  }
  return (file, range, options) => {
    const action = actions.get(file.digest ?? '');
    if (action === undefined)
      throw new KitError('BLOB_NOT_FOUND', `${file.path}: ${target.host} does not have the LFS object ${file.digest}`, {
        hint: 'push it again: `git lfs push --all`',
      });
    // hosts may serve the objects themselves, by the same credentials
    const own = action.href.origin === target.origin ? authorization : undefined;
    const given = Object.entries(action.header).find(([name]) => name.toLowerCase() === 'authorization')?.[1];
    const web = { http, url: action.href, subject: file.path, size: file.size, authorization: given ?? own };
    return readWebFile(web, range, options);
  };
}

function readAnswer(body: Buffer, url: URL): { oid: string; href: URL; header: Readonly<Record<string, string>> }[] {
  const malformed = (): KitError => new KitError('REGISTRY_ERROR', `${url.host}: the answer of the LFS server is malformed`);
  let parsed: z.infer<typeof answer>;
  try {
    parsed = answer.parse(JSON.parse(body.toString()));
  } catch {
    throw malformed();
  }
  return parsed.objects.flatMap(({ oid, actions }) => {
    if (actions?.download === undefined) return [];
    const href = URL.parse(actions.download.href, url.href);
    if (href === null || !/^https?:$/.test(href.protocol) || (url.protocol === 'https:' && href.protocol === 'http:')) throw malformed();
    return [{ oid: `sha256:${oid}`, href, header: actions.download.header ?? {} }];
  });
}

function authorizationFor({ username, password }: URL, token: string | undefined): string | undefined {
  if (token !== undefined) return basic('token', token);
  return username === '' ? undefined : basic(decodeURIComponent(username), decodeURIComponent(password));
}

function basic(user: string, secret: string): string {
  return `Basic ${Buffer.from(`${user}:${secret}`).toString('base64')}`;
}
