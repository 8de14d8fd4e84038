import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CallOptions } from '../../events.ts';
import type { Kit } from '../kit.ts';

/** The commit of a working tree that is checked out, and how far the tree is from it. */
export interface SourceRevision {
  readonly vcs: 'git';
  readonly commit: string;
  /** `refs/heads/main`, `refs/tags/v1`; undefined for a commit that is on neither. */
  readonly ref: string | undefined;
  /** URL of `origin`, as git has it. */
  readonly remote: string | undefined;
  /** The directory, relative to the top of the tree; empty at the top. */
  readonly path: string;
  /** Files below the directory (or whole folders) that differ from the commit, that are not in it, or that git was told to ignore. */
  readonly modified: number;
  readonly untracked: number;
  readonly ignored: number;
  readonly submodules: readonly Submodule[];
}

export interface Submodule {
  readonly path: string;
  readonly commit: string;
  /** `missing`: not checked out. `changed`: another commit is checked out than the one recorded. */
  readonly state: 'as recorded' | 'changed' | 'missing';
}

/** Why there is no revision. */
export interface NoRevision {
  readonly vcs: 'none';
  readonly reason: string;
}

export type SourceState = SourceRevision | NoRevision;

const MAX_OUTPUT = 64 * 1024 * 1024;
const MAX_SUBMODULES = 200;

/** What git says of a directory. Nothing in the tree is changed, and no hook of it is run. */
export async function sourceState(kit: Kit, directory: string, call: CallOptions): Promise<SourceState> {
  const git = async (...args: string[]): Promise<string> => await runGit(kit, directory, args, call);
  try {
    const [top = '', path = ''] = (await git('rev-parse', '--show-toplevel', '--show-prefix')).split('\n');
    const commit = (await git('rev-parse', '--verify', 'HEAD^{commit}')).trim();
    const [branch, tags, remote, status] = await Promise.all([
      git('symbolic-ref', '--quiet', 'HEAD').catch(orNothing),
      git('for-each-ref', '--points-at', 'HEAD', '--format=%(refname)', 'refs/tags'),
      git('config', '--get', 'remote.origin.url').catch(orNothing),
      git('status', '--porcelain=v2', '-z', '--untracked-files=normal', '--ignored=matching', '--', '.'),
    ]);
    const list = existsSync(join(top, '.gitmodules')) ? await git('-C', top, 'submodule', 'status', '--recursive') : '';
    return {
      vcs: 'git',
      commit,
      ref: branch.trim() || tags.split('\n')[0] || undefined,
      remote: remote.trim() || undefined,
      path: path.replace(/\/$/, ''),
      ...countChanges(status),
      submodules: readSubmodules(list),
    };
  } catch (error) {
    call.signal?.throwIfAborted();
    return { vcs: 'none', reason: reasonOf(error as GitError) };
  }
}

interface GitError extends Error {
  readonly code?: string | number | null;
  readonly stderr?: string;
}

function reasonOf({ code, stderr = '' }: GitError): string {
  if (code === 'ENOENT') return 'git is not installed';
  if (/not a git repository/.test(stderr)) return 'the directory is in no git repository';
  if (/Needed a single revision|unknown revision/.test(stderr)) return 'the git repository has no commit';
  if (/dubious ownership/.test(stderr)) return 'the git repository belongs to somebody else (git config safe.directory)';
  return 'git could not read the repository';
}

// a branch that is not there, a remote that is not configured
function orNothing(): string {
  return '';
}

/** What a git command says of a directory, without a hook or a program of the repository. @throws GitError */
export async function runGit(
  { env }: Pick<Kit, 'env'>,
  directory: string,
  args: readonly string[],
  { signal }: CallOptions,
): Promise<string> {
  // what the repository configures to be run on the way is not
  const quiet = ['-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null'];
  const own = { ...env, LC_ALL: 'C', GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0' };
  return await new Promise((resolve, reject) => {
    const options = { cwd: directory, env: own, maxBuffer: MAX_OUTPUT, encoding: 'utf8', ...(signal && { signal }) } as const;
    execFile('git', [...quiet, ...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(Object.assign(error, { stderr }));
    });
  });
}

/** git-status(1), porcelain v2 with `-z`. */
function countChanges(status: string): Pick<SourceRevision, 'modified' | 'untracked' | 'ignored'> {
  const counts = { modified: 0, untracked: 0, ignored: 0 };
  let isOldName = false;
  for (const entry of status.split('\0')) {
    if (isOldName || entry === '') {
      isOldName = false;
      continue;
    }
    // a rename is followed by the name before it
    isOldName = entry.startsWith('2 ');
    if (entry.startsWith('? ')) counts.untracked += 1;
    else if (entry.startsWith('! ')) counts.ignored += 1;
    else if (/^[12u] /.test(entry)) counts.modified += 1;
  }
  return counts;
}

const STATES: Readonly<Record<string, Submodule['state']>> = { ' ': 'as recorded', '+': 'changed', '-': 'missing', U: 'changed' };

function readSubmodules(list: string): Submodule[] {
  return list
    .split('\n')
    .slice(0, MAX_SUBMODULES)
    .flatMap((line) => {
      const [, mark = '', commit, path] = /^([ +U-])([0-9a-f]{40,64}) (.+?)(?: \([^()]*\))?$/.exec(line) ?? [];
      return commit === undefined || path === undefined ? [] : [{ path, commit, state: STATES[mark] ?? 'changed' }];
    });
}
