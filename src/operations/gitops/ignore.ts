import { lstatSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import { parseGitignoreLine, type GitignorePattern } from './ignore-pattern.ts';

export const SOURCE_IGNORE = '.sourceignore';
const MAX_BYTES = 1024 * 1024;

// the defaults of `flux push artifact`, which Flux's controllers apply too
const VERSION_CONTROL = ['.git', '.gitignore', '.gitmodules', '.gitattributes'];
const CI =
  '.github/,.circleci/,.travis.yml,.gitlab-ci.yml,appveyor.yml,.drone.yml,cloudbuild.yaml,codeship-services.yml,codeship-steps.yml';
const EXTRA = '**/.goreleaser.yml,**/.sops.yaml,**/.flux.yaml';
const BINARIES = '*.jpg,*.jpeg,*.gif,*.png,*.wmv,*.flv,*.tar.gz,*.zip';

const EXPECTED = [...VERSION_CONTROL, ...CI.split(','), ...EXTRA.split(',')].flatMap((line) => parseGitignoreLine(line) ?? []);
const SURPRISING = BINARIES.split(',').flatMap((line) => parseGitignoreLine(line) ?? []);

/** What goes into a GitOps artifact: Flux's defaults, then the `.sourceignore` files, in .gitignore syntax; the last match wins. */
export class SourceIgnore {
  readonly #root: string;
  readonly #files = new Map<string, readonly GitignorePattern[]>();
  /** Files that only a default for binaries leaves out: nobody asked for that. */
  readonly leftOut: string[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  /** `path` is relative to the root, with `/`; a directory that is ignored takes all below with it. @throws KitError */
  ignores(path: string): boolean {
    const segments = path.split('/');
    return segments.some((_segment, depth) => this.#matches(segments.slice(0, depth + 1).join('/')));
  }

  /** The same for a path whose directories are not ignored. */
  ignoresEntry(path: string): boolean {
    const ignored = this.#matches(path);
    if (ignored && this.#isSurprising(path)) this.leftOut.push(path);
    return ignored;
  }

  #matches(path: string): boolean {
    // no rule takes version control's own folder back in
    if (basename(path) === '.git') return true;
    const isDirectory = this.#isDirectory(path);
    let ignored = [...EXPECTED, ...SURPRISING].some((pattern) => matches(pattern, path, isDirectory));
    for (const { base, patterns } of this.#rulesFor(path)) {
      const relative = base === '' ? path : path.slice(base.length + 1);
      for (const pattern of patterns) if (matches(pattern, relative, isDirectory)) ignored = !pattern.negated;
    }
    return ignored;
  }

  #isSurprising(path: string): boolean {
    if (!SURPRISING.some((pattern) => matches(pattern, path, false))) return false;
    const isAskedFor = this.#rulesFor(path).some(({ base, patterns }) =>
      patterns.some((pattern) => matches(pattern, base === '' ? path : path.slice(base.length + 1), this.#isDirectory(path))),
    );
    return !isAskedFor && !this.#isDirectory(path);
  }

  // outermost first
  #rulesFor(path: string): { readonly base: string; readonly patterns: readonly GitignorePattern[] }[] {
    const directories = path.split('/').slice(0, -1);
    return ['', ...directories.map((_name, index) => directories.slice(0, index + 1).join('/'))].map((base) => {
      return { base, patterns: this.#load(base) };
    });
  }

  #load(directory: string): readonly GitignorePattern[] {
    const known = this.#files.get(directory);
    if (known !== undefined) return known;
    const patterns = readPatterns(join(this.#root, directory, SOURCE_IGNORE));
    this.#files.set(directory, patterns);
    return patterns;
  }

  #isDirectory(path: string): boolean {
    return lstatSync(join(this.#root, path), { throwIfNoEntry: false })?.isDirectory() === true;
  }
}

function matches({ directoryOnly, regExp }: GitignorePattern, path: string, isDirectory: boolean): boolean {
  return (isDirectory || !directoryOnly) && regExp.test(path);
}

function readPatterns(file: string): GitignorePattern[] {
  try {
    const stats = statSync(file, { throwIfNoEntry: false });
    if (stats === undefined || !stats.isFile()) return [];
    if (stats.size > MAX_BYTES) throw new KitError('LIMIT_EXCEEDED', `${file} has ${stats.size} bytes, the limit is ${MAX_BYTES}`);
    const lines = readFileSync(file, 'utf8')
      .replace(/^\uFEFF/, '')
      .split('\n');
    return lines.flatMap((line) => parseGitignoreLine(line) ?? []);
  } catch (error) {
    throw asPathError(error, file);
  }
}
