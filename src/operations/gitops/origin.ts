import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { CallOptions } from '../../events.ts';
import type { GitopsOrigin } from '../../formats/gitops.ts';

const run = promisify(execFile);
const MAX_OUTPUT = 64 * 1024 * 1024;

/** What of the directory goes into an artifact. */
export interface GitopsContents {
  readonly root: string;
  /** Paths of files below it. */
  readonly files: readonly string[];
  readonly ignores: (path: string) => boolean;
}

/**
 * Source and revision of a directory in a git work tree, as Flux writes them; nothing where there is no git or no commit.
 * The revision ends in `-dirty` where what is packed is not what was committed.
 */
export async function gitOrigin(
  env: Readonly<Record<string, string | undefined>>,
  contents: GitopsContents,
  call: CallOptions,
): Promise<GitopsOrigin> {
  const git = new Git(env, contents.root, call.signal);
  const warn = (code: string, message: string): void => call.onEvent?.({ type: 'warning', code, message });
  let commit: string;
  try {
    commit = (await git.lines('rev-parse', '--verify', 'HEAD'))[0] ?? '';
  } catch (error) {
    call.signal?.throwIfAborted();
    const why = complaintOf(error);
    if (why !== undefined) warn('GIT_UNREADABLE', `no source and revision are written for ${contents.root}: ${why}`);
    return {};
  }
  const changed = await changedFiles(git, contents);
  if (changed.length > 0) {
    const some = `${changed.slice(0, 3).join(', ')}${changed.length > 3 ? ', ...' : ''}`;
    warn('GIT_DIRTY', `not as in commit ${commit.slice(0, 12)}: ${some} (${changed.length} in all); the revision ends in -dirty`);
  }
  const [url] = await git.optional('config', '--get', 'remote.origin.url');
  const name =
    (await git.optional('symbolic-ref', '--short', '-q', 'HEAD'))[0] ?? (await git.optional('describe', '--tags', '--exact-match'))[0];
  const hash = `${commit.length === 64 ? 'sha256' : 'sha1'}:${commit}${changed.length > 0 ? '-dirty' : ''}`;
  return {
    revision: name === undefined ? hash : `${name}@${hash}`,
    ...(url !== undefined && { source: withoutCredentials(url) }),
  };
}

/** Files that are packed and not committed as they are, and committed ones that are gone. */
async function changedFiles(git: Git, { files, ignores }: GitopsContents): Promise<string[]> {
  const tracked = new Set(await git.paths('ls-files', '-z', '--recurse-submodules'));
  const differing = await git.paths('diff', '--name-only', '-z', '--no-ext-diff', '--relative', 'HEAD', '--', '.');
  return [...differing.filter((path) => !ignores(path)), ...files.filter((path) => !tracked.has(path))];
}

class Git {
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #directory: string;
  readonly #signal: AbortSignal | undefined;

  constructor(env: Readonly<Record<string, string | undefined>>, directory: string, signal: AbortSignal | undefined) {
    this.#env = { ...env, LC_ALL: 'C', GIT_OPTIONAL_LOCKS: '0' };
    this.#directory = directory;
    this.#signal = signal;
  }

  async #output(args: readonly string[]): Promise<string> {
    // nothing that the repository names as a file system monitor is run
    const { stdout } = await run('git', ['-c', 'core.fsmonitor=false', ...args], {
      cwd: this.#directory,
      env: this.#env,
      maxBuffer: MAX_OUTPUT,
      ...(this.#signal && { signal: this.#signal }),
    });
    return stdout;
  }

  async lines(...args: readonly string[]): Promise<string[]> {
    return (await this.#output(args)).split('\n').filter((line) => line !== '');
  }

  async paths(...args: readonly string[]): Promise<string[]> {
    return (await this.#output(args)).split('\0').filter((path) => path !== '');
  }

  /** Nothing where git has no answer. */
  async optional(...args: readonly string[]): Promise<string[]> {
    try {
      return await this.lines(...args);
    } catch {
      this.#signal?.throwIfAborted();
      return [];
    }
  }
}

// no git, no repository, and no commit yet need no words
function complaintOf(error: unknown): string | undefined {
  const { code, stderr = '' } = error as { code?: unknown; stderr?: string };
  if (code === 'ENOENT' || /not a git repository|Needed a single revision/.test(stderr)) return undefined;
  return stderr.split('\n')[0] || String(error);
}

/** The URL without a password or token, which would be published with the artifact. */
export function withoutCredentials(url: string): string {
  const [, scheme, userinfo, rest] = /^([a-z][\w+.-]*:\/\/)([^/?#]*)@(.*)$/is.exec(url) ?? [];
  if (scheme === undefined || userinfo === undefined || rest === undefined) return url;
  // over ssh a user name is an address, not a secret
  return /^(?:git\+)?ssh:/i.test(scheme) ? `${scheme}${userinfo.replace(/:.*$/s, '')}@${rest}` : `${scheme}${rest}`;
}
