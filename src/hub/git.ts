import { spawn } from 'node:child_process';
import type { ByteRange, Bytes } from '../blob-source.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { plainText } from '../registry/redact.ts';
import { remoteName } from './remote-name.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface GitRepositoryOptions {
  /** An empty folder for what is fetched. */
  readonly folder: string;
  /** As `git clone` takes it. */
  readonly url: string;
  readonly token: string | undefined;
  readonly env: Environment;
}

export interface GitEntry {
  /** As git has it: not checked. */
  readonly path: string;
  readonly kind: 'file' | 'symbolic link' | 'submodule';
  readonly mode: number;
  /** Bytes. */
  readonly size: number;
  readonly id: string;
}

const MAX_LISTING = 256 * 1024 * 1024;
const MAX_STDERR = 16 * 1024;
/** Answers git's questions for one host, from the environment: the token shows in no list of processes. */
const HELPER = '!f() { test "$1" = get && printf "username=token\\npassword=%s\\n" "$KIT_GIT_TOKEN"; }; f';

/** A bare repository that holds what was fetched of `url`, through the git of this machine. */
export class GitRepository {
  readonly url: string;
  readonly token: string | undefined;
  readonly folder: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor({ folder, url, token, env }: GitRepositoryOptions) {
    this.folder = folder;
    this.url = url;
    this.token = token;
    this.#env = { ...env, ...gitEnvironment(url, token) };
  }

  /** Standard output of a git command, at most `limit` bytes; `accept` are statuses that are no failure. @throws KitError with what git says */
  async run(args: readonly string[], call: CallOptions, limit = MAX_LISTING, accept: readonly number[] = [0]): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.#output(args, call, accept)) {
      size += chunk.byteLength;
      if (size > limit) throw new KitError('LIMIT_EXCEEDED', `${this.url}: git ${args[0]} says more than ${limit} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  async read(id: string, limit: number, call: CallOptions): Promise<Buffer> {
    return await this.run(['cat-file', 'blob', id], call, limit);
  }

  /** The content of a file; git checks what it fetched. */
  async *open(id: string, { start, end }: ByteRange, call: CallOptions): AsyncGenerator<Uint8Array> {
    let position = 0;
    for await (const chunk of this.#output(['cat-file', 'blob', id], call)) {
      const from = Math.max(0, start - position);
      const to = Math.min(chunk.byteLength, end - position);
      position += chunk.byteLength;
      if (from < to) yield chunk.subarray(from, to);
      if (position >= end) return;
    }
  }

  async *#output(args: readonly string[], { signal }: CallOptions, accept: readonly number[] = [0]): Bytes {
    const child = spawn('git', ['--git-dir', this.folder, ...args], { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-MAX_STDERR)));
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on('error', reject).on('close', resolve);
    });
    ended.catch(() => undefined);
    const stop = (): void => void child.kill();
    signal?.addEventListener('abort', stop);
    let isRead = false;
    try {
      yield* child.stdout as AsyncIterable<Uint8Array>;
      isRead = true;
    } finally {
      signal?.removeEventListener('abort', stop);
      // whoever has enough leaves
      if (!isRead) child.kill();
    }
    const status = await ended.catch((error: unknown) => {
      throw new KitError('UNSUPPORTED', `git cannot be run: ${(error as Error).message}`, {
        cause: error,
        hint: 'install git, or import from an archive',
      });
    });
    signal?.throwIfAborted();
    if (status === null || !accept.includes(status)) throw gitFailure(this.url, args, said);
  }
}

function gitEnvironment(url: string, token: string | undefined): NodeJS.ProcessEnv {
  const origin = URL.parse(url)?.origin;
  const quiet = { GIT_TERMINAL_PROMPT: '0', GIT_ALLOW_PROTOCOL: 'https:http:ssh:file:git', LC_ALL: 'C' };
  if (token === undefined || origin === undefined || origin === 'null') return quiet;
  return {
    ...quiet,
    KIT_GIT_TOKEN: token,
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: `credential.${origin}.helper`,
    GIT_CONFIG_VALUE_0: HELPER,
  };
}

/** Fetches one revision, without its history. Returns the commit. @throws KitError REFERENCE_NOT_FOUND | NETWORK ... */
export async function fetchRevision(repository: GitRepository, revision: string | undefined, call: CallOptions): Promise<string> {
  if (revision !== undefined && !/^[\w][\w./-]*$/.test(revision))
    throw new KitError('REFERENCE_INVALID', `\`${revision}\` is not a branch, tag or commit`, { hint: 'give one by `--ref`' });
  if (repository.url.startsWith('-')) throw new KitError('REFERENCE_INVALID', `\`${repository.url}\` is not a repository`);
  await repository.run(['init', '--quiet', '--bare', '--template=', repository.folder], call);
  await repository.run(['fetch', '--quiet', '--no-tags', '--depth', '1', '--', repository.url, revision ?? 'HEAD'], call);
  return (await repository.run(['rev-parse', '--verify', 'FETCH_HEAD^{commit}'], call)).toString().trim();
}

/** Everything in the tree of a commit. @throws KitError */
export async function listTree(repository: GitRepository, commit: string, call: CallOptions): Promise<GitEntry[]> {
  const text = (await repository.run(['ls-tree', '-r', '-l', '-z', '--full-tree', commit], call)).toString();
  return text
    .split('\0')
    .filter((line) => line !== '')
    .map((line): GitEntry => {
      const [, mode = '', id = '', size = '', path = ''] = /^(\d+) \w+ ([0-9a-f]+) +(\d+|-)\t(.+)$/s.exec(line) ?? [];
      const kind = mode === '120000' ? 'symbolic link' : mode === '160000' ? 'submodule' : 'file';
      return { path, kind, id, size: Number(size) || 0, mode: mode === '100755' ? 0o755 : 0o644 };
    });
}

/** Paths of files that hold a pointer of git LFS where they begin a line with its version. */
export async function listPointers(repository: GitRepository, commit: string, call: CallOptions): Promise<Set<string>> {
  // grep ends with 1 when it finds nothing
  const args = ['grep', '-l', '-z', '-I', '-e', '^version https://git-lfs.github.com/spec/v1', commit, '--'];
  const output = await repository.run(args, call, MAX_LISTING, [0, 1]);
  return new Set(
    output
      .toString()
      .split('\0')
      .map((name) => name.slice(commit.length + 1)),
  );
}

function gitFailure(url: string, args: readonly string[], said: string): KitError {
  const text = plainText(said.replaceAll(/^(?:fatal|error|remote): */gm, ''));
  const shown = remoteName(url).uri ?? url;
  const message = `${shown}: git ${args[0]} failed${text === '' ? '' : `: ${text}`}`;
  if (/couldn't find remote ref|not our ref|unadvertised object|did not match/i.test(said))
    return new KitError('REFERENCE_NOT_FOUND', message, { hint: 'give a branch, tag or whole commit id that it has by `--ref`' });
  if (/not found|does not exist|does not appear to be a git repository/i.test(said))
    return new KitError('REFERENCE_NOT_FOUND', message, { hint: 'check the address; for one that is private give a token with `--token`' });
  if (/Authentication failed|could not read (?:Username|Password)|Permission denied|terminal prompts disabled|403|401/i.test(said))
    return new KitError('UNAUTHORIZED', message, { hint: 'give a token with `--token`, or set up git so that `git ls-remote` works' });
  if (/Could not resolve host|Failed to connect|timed out|Connection (?:refused|reset)|early EOF|RPC failed/i.test(said))
    return new KitError('NETWORK', message, { hint: 'check the network and try again' });
  return new KitError('IO_FAILED', message);
}
