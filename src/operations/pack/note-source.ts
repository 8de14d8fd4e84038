import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import type { CallOptions } from '../../events.ts';
import { isCommit } from '../../hub/commit.ts';
import { remoteName } from '../../hub/remote-name.ts';
import type { SourceRecord } from '../artifact/source-record.ts';
import type { Kit } from '../kit.ts';

/** Longer than a healthy git takes, shorter than anyone waits for a note. */
const PATIENCE_MS = 5000;

/**
 * The commit of the git work tree that a directory is in; whether the tree is clean is not asked. Undefined outside of one, and where git
 * is missing or has no answer: it is only noted. @param directory real
 */
export async function noteSource(kit: Kit, directory: string, call: CallOptions): Promise<SourceRecord | undefined> {
  const top = topOf(directory);
  if (top === undefined) return undefined;
  try {
    const { commit, common } = (await readHead(join(top, '.git'))) ?? (await askGit(kit, top, call));
    const url = originIn(await readFile(join(common, 'config'), 'utf8').catch(() => ''));
    const remote = url === undefined ? undefined : remoteName(url).uri;
    const path = relative(top, directory);
    return { commit, ...(remote !== undefined && { remote }), ...(path !== '' && { path }), when: new Date().toISOString() };
  } catch {
    return undefined;
  }
}

function topOf(directory: string): string | undefined {
  for (let folder = directory; ; folder = dirname(folder)) {
    if (existsSync(join(folder, '.git'))) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}

interface Head {
  readonly commit: string;
  /** Where the configuration is. */
  readonly common: string;
}

/** As most repositories have it (gitrepository-layout(5)): a process costs more than a pack of unchanged files. Undefined for git to say. */
async function readHead(folder: string): Promise<Head | undefined> {
  const read = async (path: string): Promise<string> => (await readFile(join(folder, path), 'utf8').catch(() => '')).trim();
  const head = await read('HEAD');
  const branch = /^ref: (refs\/heads\/[\w./-]+)$/.exec(head)?.[1];
  const commit = branch === undefined || branch.includes('..') ? head : await read(branch);
  return isCommit(commit) ? { commit, common: folder } : undefined;
}

/** Of packed refs, linked work trees, submodules. @throws what git says */
async function askGit(kit: Kit, top: string, { signal }: CallOptions): Promise<Head> {
  const { runGit } = await import('../artifact/source-revision.ts');
  const limit = AbortSignal.timeout(PATIENCE_MS);
  const call = { signal: signal === undefined ? limit : AbortSignal.any([signal, limit]) };
  // a hook of git names a repository, which need not be this one
  const quiet = { env: { ...kit.env, GIT_DIR: undefined, GIT_WORK_TREE: undefined } };
  const answer = await runGit(quiet, top, ['rev-parse', '--git-common-dir', 'HEAD^{commit}'], call);
  const [common = '', commit = ''] = answer.split('\n');
  return { commit, common: resolve(top, common) };
}

/** The URL of `origin` as `git clone` and `git remote add` write it (git-config(1)); files that are included are not looked into. */
function originIn(config: string): string | undefined {
  const section = /^\s*\[remote "origin"\]((?:\n(?!\s*\[).*)*)/im.exec(config)?.[1];
  return /^\s*url\s*=\s*"?([^"\s]+)"?\s*$/im.exec(section ?? '')?.[1];
}
