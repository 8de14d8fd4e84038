import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A repository of the hub. */
export interface HubRepository {
  readonly type?: 'model' | 'dataset';
  /** `org/name` */
  readonly id: string;
  readonly files: Readonly<Record<string, string | Buffer>>;
  /** Kept by git LFS, as the hub does with everything above 10 MB. Default: what ends in .safetensors, .gguf or .parquet. */
  readonly lfs?: (path: string) => boolean;
  /** Merged into what the API says of it. */
  readonly info?: Readonly<Record<string, unknown>>;
  /** Needs the token to be seen. */
  readonly isPrivate?: boolean;
  /** Everyone may see it, files only go to those who hold the token. */
  readonly isGated?: boolean;
  /** Names besides `main`. */
  readonly revisions?: readonly string[];
}

interface LoggedRequest {
  readonly origin: 'hub' | 'cdn';
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  status: number;
}

interface Behaviour {
  /** Entries of one page of a listing. */
  pageSize: number;
  /** Called before each answer; true when it has answered itself. */
  intercept: ((request: IncomingMessage, response: ServerResponse, origin: LoggedRequest['origin']) => boolean) | undefined;
  /** Changes the content that is sent, not what is said of it. */
  tamper: ((path: string, content: Buffer) => Buffer) | undefined;
  /** Repositories that were renamed: old id to new one. */
  renamed: Record<string, string>;
}

export interface TestHub {
  /** `http://127.0.0.1:PORT`, for HF_ENDPOINT. */
  readonly url: string;
  readonly cdnUrl: string;
  readonly token: string;
  readonly requests: LoggedRequest[];
  readonly behaviour: Behaviour;
  /** The commit of a repository. */
  sha(id: string): string;
  /** `METHOD path -> status` since the last `clear`, without queries. */
  log(): string[];
  clear(): void;
  close(): Promise<void>;
}

const TOKEN = 'hf_secretTokenOfTheTests';

/** Git's id of a file. */
export function gitBlobId(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.byteLength}\0`).update(content).digest('hex');
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

interface StoredFile {
  readonly content: Buffer;
  readonly isLfs: boolean;
  readonly etag: string;
  /** Git's id: of the pointer, for LFS. */
  readonly oid: string;
}

class Repository {
  readonly given: HubRepository;
  readonly files = new Map<string, StoredFile>();
  readonly sha: string;

  constructor(given: HubRepository) {
    this.given = given;
    const isLfs = given.lfs ?? ((path) => /\.(?:safetensors|gguf|parquet)$/.test(path));
    const hash = createHash('sha1').update(given.id);
    for (const [path, text] of Object.entries(given.files)) {
      const content = Buffer.from(text);
      const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(content)}\nsize ${content.byteLength}\n`;
      const oid = gitBlobId(isLfs(path) ? Buffer.from(pointer) : content);
      this.files.set(path, { content, isLfs: isLfs(path), oid, etag: isLfs(path) ? sha256(content) : oid });
      hash.update(`${path} ${oid}\n`);
    }
    this.sha = hash.digest('hex');
  }

  has(revision: string): boolean {
    return revision === 'main' || revision === this.sha || (this.given.revisions ?? []).includes(revision);
  }

  /** As `/tree?recursive=true` lists it. */
  tree(): object[] {
    const folders = new Set<string>();
    for (const path of this.files.keys()) {
      const segments = path.split('/').slice(0, -1);
      for (const index of segments.keys()) folders.add(segments.slice(0, index + 1).join('/'));
    }
    return [
      ...[...folders].map((path) => ({ type: 'directory', oid: createHash('sha1').update(path).digest('hex'), size: 0, path })),
      ...[...this.files].map(([path, { content, oid, isLfs, etag }]) => ({
        type: 'file',
        oid,
        size: content.byteLength,
        path,
        ...(isLfs && { lfs: { oid: etag, size: content.byteLength, pointerSize: 134 } }),
      })),
    ];
  }
}

/**
 * The parts of the Hugging Face hub's API that reading needs, in this process: repository info, paged trees, and `resolve`, which
 * sends LFS files to a second origin as the hub does to its CDN. test/interop holds it against the real client. Close it after the test.
 */
export async function startHub(given: readonly HubRepository[]): Promise<TestHub> {
  const repositories = given.map((one) => new Repository(one));
  const requests: LoggedRequest[] = [];
  const behaviour: Behaviour = { pageSize: 1000, intercept: undefined, tamper: undefined, renamed: {} };
  const find = (type: string, id: string): Repository | undefined =>
    repositories.find((one) => (one.given.type ?? 'model') === type && one.given.id === id);
  const urls = { hub: '', cdn: '' };

  const sendFile = (
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    content: Buffer,
    headers: Record<string, string>,
  ): void => {
    const sent = behaviour.tamper?.(path, content) ?? content;
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(first ?? 0);
    const end = last ? Math.min(Number(last) + 1, sent.byteLength) : sent.byteLength;
    const range = first === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${sent.byteLength}` };
    response.writeHead(first === undefined ? 200 : 206, { ...headers, ...range, 'accept-ranges': 'bytes', 'content-length': end - start });
    response.end(request.method === 'HEAD' ? undefined : sent.subarray(start, end));
  };

  const answerApi = (url: URL, response: ServerResponse, isKnown: boolean, segments: string[]): void => {
    const [, kind = '', ...rest] = segments;
    const marker = rest.findIndex((segment) => segment === 'revision' || segment === 'tree');
    const id = (marker === -1 ? rest : rest.slice(0, marker)).join('/');
    const renamed = behaviour.renamed[id];
    if (renamed !== undefined) {
      response.writeHead(307, { location: url.href.slice(url.origin.length).replace(id, renamed) }).end();
      return;
    }
    const repository = find(kind.replace(/s$/, ''), id);
    if (repository === undefined || (repository.given.isPrivate === true && !isKnown))
      return refuse(response, isKnown ? 404 : 401, 'RepoNotFound', 'Repository not found');
    const revision = marker === -1 ? 'main' : (rest[marker + 1] ?? 'main');
    if (!repository.has(revision)) return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
    const isTree = rest[marker] === 'tree';
    const { given: own, sha } = repository;
    const tree = repository.tree();
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const next = from + behaviour.pageSize;
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (isTree && next < tree.length) {
      const more = new URL(url);
      more.searchParams.set('cursor', String(next));
      headers['link'] = `<${more.href}>; rel="next"`;
    }
    const info = {
      _id: '000000000000000000000000',
      id: own.id,
      ...(own.type === 'dataset' ? {} : { modelId: own.id }),
      sha,
      author: own.id.split('/')[0],
      private: own.isPrivate === true,
      gated: own.isGated === true ? 'manual' : false,
      disabled: false,
      downloads: 0,
      likes: 0,
      tags: [],
      lastModified: '2026-01-01T00:00:00.000Z',
      createdAt: '2026-01-01T00:00:00.000Z',
      siblings: [...repository.files.keys()].map((rfilename) => ({ rfilename })),
      ...own.info,
    };
    response.writeHead(200, headers).end(JSON.stringify(isTree ? tree.slice(from, next) : info));
  };

  const answerResolve = (request: IncomingMessage, response: ServerResponse, isKnown: boolean, segments: string[]): void => {
    const type = segments[0] === 'datasets' ? 'dataset' : 'model';
    const own = type === 'dataset' ? segments.slice(1) : segments;
    const marker = own.indexOf('resolve');
    const id = own.slice(0, marker).join('/');
    const renamed = behaviour.renamed[id];
    if (renamed !== undefined) {
      response.writeHead(307, { location: `/${segments.join('/').replace(id, renamed)}` }).end();
      return;
    }
    const repository = find(type, id);
    if (repository === undefined || (repository.given.isPrivate === true && !isKnown))
      return refuse(response, isKnown ? 404 : 401, 'RepoNotFound', 'Repository not found');
    if (repository.given.isGated === true && !isKnown)
      return refuse(
        response,
        401,
        'GatedRepo',
        `Access to model ${id} is restricted. You must have access to it and be authenticated to access it.`,
      );
    const path = own.slice(marker + 2).join('/');
    if (!repository.has(own[marker + 1] ?? '')) return refuse(response, 404, 'RevisionNotFound', 'Invalid rev id');
    const file = repository.files.get(path);
    if (file === undefined) return refuse(response, 404, 'EntryNotFound', 'Entry not found');
    const common = { 'x-repo-commit': repository.sha, etag: `"${file.etag}"` };
    if (!file.isLfs) return sendFile(request, response, path, file.content, common);
    const location = `${urls.cdn}/${id}/${file.etag}?path=${encodeURIComponent(path)}&signature=secret`;
    const linked = { 'x-linked-etag': `"${file.etag}"`, 'x-linked-size': String(file.content.byteLength) };
    response.writeHead(302, { ...common, ...linked, location }).end();
  };

  const answerCdn = (request: IncomingMessage, response: ServerResponse, url: URL): void => {
    const etag = url.pathname.split('/').at(-1);
    const found = repositories.flatMap(({ files }) => [...files.entries()]).find(([, file]) => file.etag === etag);
    if (found === undefined || url.searchParams.get('signature') !== 'secret') response.writeHead(403).end();
    else sendFile(request, response, found[0], found[1].content, { etag: `"cdn-${etag}"` });
  };

  const listen = async (origin: LoggedRequest['origin']) => {
    const server = createServer((request, response) => {
      const url = new URL(request.url ?? '/', urls[origin]);
      const { authorization, range } = request.headers;
      const entry: LoggedRequest = { origin, method: request.method ?? '', path: request.url ?? '', authorization, range, status: 0 };
      requests.push(entry);
      response.on('close', () => (entry.status = response.headersSent ? response.statusCode : 0));
      if (behaviour.intercept?.(request, response, origin) === true) return;
      const segments = url.pathname
        .split('/')
        .filter((segment) => segment !== '')
        .map(decodeURIComponent);
      const isKnown = authorization === `Bearer ${TOKEN}`;
      if (origin === 'cdn') answerCdn(request, response, url);
      else if (segments[0] === 'api') answerApi(url, response, isKnown, segments);
      else if (segments.includes('resolve')) answerResolve(request, response, isKnown, segments);
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    urls[origin] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return server;
  };
  const servers = [await listen('hub'), await listen('cdn')];
  return {
    url: urls.hub,
    cdnUrl: urls.cdn,
    token: TOKEN,
    requests,
    behaviour,
    sha: (id) => repositories.find(({ given: own }) => own.id === id)?.sha ?? '',
    log: () => requests.map(({ method, path, status }) => `${method} ${path.split('?')[0] ?? ''} -> ${status}`),
    clear: () => void requests.splice(0),
    close: async () => {
      await Promise.all(
        servers.map(async (server) => {
          server.closeAllConnections();
          await new Promise((resolve) => server.close(resolve));
        }),
      );
    },
  };
}

/** As the hub says what is wrong. */
function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { 'x-error-code': code, 'x-error-message': message, 'content-type': 'application/json' });
  response.end(JSON.stringify({ error: message }));
}
