import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';

const BACKEND = '/usr/lib/git-core/git-http-backend';

export const hasGit = existsSync(BACKEND);

/** What a file is in git when git LFS keeps its content. */
export function lfsPointer(content: Buffer): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${createHash('sha256').update(content).digest('hex')}\nsize ${content.byteLength}\n`;
}

export function git(directory: string, ...args: string[]): string {
  const who = { GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@b', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@b' };
  const env = { PATH: process.env['PATH'], GIT_CONFIG_NOSYSTEM: '1', HOME: directory, ...who };
  return execFileSync('git', ['-C', directory, ...args], { env, encoding: 'utf8' }).trim();
}

/** A repository with one commit; returns it. */
export function commitFiles(directory: string, files: Readonly<Record<string, string>>): string {
  mkdirSync(directory, { recursive: true });
  git(directory, 'init', '--quiet', '--initial-branch', 'main');
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content, { mode: content.startsWith('#!') ? 0o755 : 0o644 });
  }
  git(directory, 'add', '--all');
  git(directory, 'commit', '--quiet', '--message', 'one');
  return git(directory, 'rev-parse', 'HEAD');
}

export interface GitServer {
  /** Of the folder: a repository is `URL/NAME/.git`. */
  readonly url: string;
  readonly requests: { readonly path: string; readonly authorization: string | undefined }[];
  close(): Promise<void>;
}

/** Serves the repositories of a folder by git's smart protocol, and LFS objects by its batch API. With `token` it asks for that. */
export async function serveGit(folder: string, objects: readonly Buffer[], token?: string): Promise<GitServer> {
  const requests: { path: string; authorization: string | undefined }[] = [];
  const stored = new Map(objects.map((content) => [createHash('sha256').update(content).digest('hex'), content]));
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    const { authorization } = request.headers;
    requests.push({ path, authorization });
    const expected = token === undefined ? undefined : `Basic ${Buffer.from(`token:${token}`).toString('base64')}`;
    if (expected !== undefined && authorization !== expected && !path.startsWith('/objects/'))
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
    else if (path.startsWith('/objects/')) response.end(stored.get(path.slice('/objects/'.length)));
    else if (path.endsWith('/info/lfs/objects/batch')) void batch(request, response);
    else backend(folder, request, response);
  });
  const batch = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { objects: wanted } = JSON.parse((await buffer(request)).toString()) as { objects: { oid: string; size: number }[] };
    const answers = wanted.map(({ oid, size }) =>
      stored.has(oid)
        ? { oid, size, actions: { download: { href: `http://localhost:${(server.address() as AddressInfo).port}/objects/${oid}` } } }
        : { oid, size, error: { code: 404, message: 'Object does not exist' } },
    );
    response
      .writeHead(200, { 'content-type': 'application/vnd.git-lfs+json' })
      .end(JSON.stringify({ transfer: 'basic', objects: answers }));
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** CGI, as git-http-backend(1) has it. */
function backend(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://git.invalid');
  const child = spawn(BACKEND, {
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'safe.directory',
      GIT_CONFIG_VALUE_0: '*',
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
  });
  request.pipe(child.stdin);
  void buffer(child.stdout).then((output) => {
    const cut = output.indexOf('\r\n\r\n');
    const headers = output
      .subarray(0, cut)
      .toString()
      .split('\r\n')
      .map((line): [string, string] => [line.split(': ')[0] ?? '', line.split(': ')[1] ?? '']);
    const status = headers.find(([name]) => name === 'Status')?.[1];
    response.writeHead(Number.parseInt(status ?? '200', 10), Object.fromEntries(headers.filter(([name]) => name !== 'Status')));
    response.end(output.subarray(cut + 4));
  });
}
