import { posix } from 'node:path';

import { compareBytes } from '../oci/json.ts';
import { type FileKind, fileKind, isLicenseName, isPromptName, isReadmeName } from './file-kind.ts';
import { detectLicense } from './license.ts';
import { KITFILE_NAMES } from './parse.ts';
import { readSkillHeader, SKILL_FILE, type SkillHeader } from './skill-header.ts';
import type { Code, Dataset, Docs, Kitfile, Model, Package, Prompt } from './types.ts';

/** A file or directory of the context, at least two levels deep (`data/train.csv`, `data/raw` as a directory), and one more for each `depth`. */
export interface ContextEntry {
  /** Relative to the context, with `/`. */
  readonly path: string;
  /** Bytes; for a directory of no meaning. */
  readonly size: number;
  readonly isDirectory: boolean;
  /** The content of a file that says what others are (see needsText). Without it nothing is known of that. */
  readonly text?: string;
}

export interface GenerateOptions {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly author?: string | undefined;
  /** So many levels of directories that are nothing in particular are described by what is in them. Negative: each file by itself. Default 0. */
  readonly depth?: number | undefined;
}

/** A file beyond this is no license, and no header of a skill. */
export const MAX_TEXT = 256 * 1024;

/** True for a license file in the first level and for a SKILL.md. */
export function needsText({ path, size, isDirectory }: ContextEntry): boolean {
  const isTold = posix.basename(path) === SKILL_FILE || (!path.includes('/') && isLicenseName(path));
  return isTold && !isDirectory && size <= MAX_TEXT;
}

/** How many levels of entries a depth needs. */
export function levelsOf(depth = 0): number {
  return depth < 0 ? Infinity : depth + 2;
}

// what belongs to git and to kit itself is no content of a ModelKit
const IGNORED: ReadonlySet<string> = new Set(['.kitignore', '.git', '.gitignore', '.gitattributes']);
const KITFILES: ReadonlySet<string> = new Set(KITFILE_NAMES);
const CODE_DIRECTORIES: ReadonlySet<string> = new Set(['src', 'pkg', 'lib', 'build']);
const MAX_CODE_LAYERS = 5;

/** The Kitfile that `kit init` writes for a directory. Pure: the same entries, in any order, give the same Kitfile. */
export function generateKitfile(entries: readonly ContextEntry[], options: GenerateOptions = {}): Kitfile {
  const draft = new Draft(childrenOf(entries), options.depth ?? 0);
  draft.addRoot();
  const kitfile = draft.finish({
    ...(options.name ? { name: options.name } : {}),
    ...(options.description ? { description: options.description } : {}),
    ...(options.author ? { authors: [options.author] } : {}),
  });
  return { ...kitfile, package: withSkill(kitfile, draft.skills) };
}

/** What is nothing but one skill is called what that is called; its license counts where there is no other. */
function withSkill({ package: about, model, code, datasets, docs }: Kitfile, skills: readonly SkillHeader[]): Package {
  const [first = {}, ...others] = skills;
  const isAll = others.length === 0 && [model, code, datasets, docs].every((part) => part === undefined);
  const license = about.license ?? first.license;
  return {
    ...(isAll && first.name && { name: first.name }),
    ...(isAll && first.description && { description: first.description }),
    ...about,
    ...(license !== undefined && { license }),
  };
}

/** What each directory holds, in byte order. */
function childrenOf(entries: readonly ContextEntry[]): Map<string, ContextEntry[]> {
  const content = entries.filter(({ path }) => !KITFILES.has(path) && !IGNORED.has(posix.basename(path)));
  return Map.groupBy(
    content.toSorted((a, b) => compareBytes(a.path, b.path)),
    ({ path }) => posix.dirname(path),
  );
}

class Draft {
  readonly #children: ReadonlyMap<string, readonly ContextEntry[]>;
  readonly #depth: number;
  readonly #models: ContextEntry[] = [];
  readonly #metadata: ContextEntry[] = [];
  readonly #code: Code[] = [];
  readonly #datasets: Dataset[] = [];
  readonly #docs: Docs[] = [];
  readonly #prompts: Prompt[] = [];
  /** Headers of the skills in the first level. */
  readonly skills: SkillHeader[] = [];
  /** Directories that are nothing in particular: code at the end, after those known as code. */
  readonly #unclear: Code[] = [];
  #hasUnknownFiles = false;
  #license: string | undefined;

  constructor(children: ReadonlyMap<string, readonly ContextEntry[]>, depth: number) {
    this.#children = children;
    this.#depth = depth;
  }

  addRoot(): void {
    const all = this.#children.get('.') ?? [];
    // a skill is one whole, whatever is in it
    if (this.#addSkill('.', all)) return;
    for (const file of all.filter(({ isDirectory }) => !isDirectory)) this.#addFile(file);
    for (const { path } of all.filter(({ isDirectory }) => isDirectory)) this.#addDirectory(path, 1);
  }

  #addFile(file: ContextEntry): void {
    const { path } = file;
    if (isReadmeName(path)) this.#docs.push({ path, description: 'Readme file' });
    else if (isLicenseName(path)) {
      this.#docs.push({ path, description: 'License file' });
      this.#license = detectLicense(file.text ?? '') ?? this.#license;
    } else this.#addByKind(file, kindOfName(path));
  }

  #addByKind(file: ContextEntry, kind: FileKind | 'prompt'): void {
    switch (kind) {
      case 'model':
        this.#models.push(file);
        break;
      case 'metadata':
        this.#metadata.push(file);
        break;
      case 'docs':
        this.#docs.push({ path: file.path });
        break;
      case 'prompt':
        this.#prompts.push({ path: file.path });
        break;
      case 'dataset':
        this.#datasets.push({ path: file.path });
        break;
      case 'unknown':
        if (this.#depth < 0 || file.path.includes('/')) this.#code.push({ path: file.path });
        else this.#hasUnknownFiles = true;
        break;
    }
  }

  #addDirectory(path: string, level: number): void {
    const children = this.#children.get(path) ?? [];
    if (this.#addSkill(path, children)) return;
    // one that is empty, or a link that nobody looked into, has nothing to describe it by
    const isOpen = children.length > 0 && (this.#depth < 0 || level <= this.#depth);
    if (this.#depth < 0 && isOpen) this.#open(children, level);
    else if (path === 'docs') this.#docs.push({ path });
    else if (CODE_DIRECTORIES.has(path)) this.#code.push({ path });
    else if (!this.#addAsOne(path, children)) {
      if (isOpen) return this.#open(children, level);
      this.#models.push(...children.filter((child) => kindOf(child) === 'model'));
      this.#unclear.push({ path });
    }
  }

  /** False when it holds no SKILL.md. */
  #addSkill(path: string, children: readonly ContextEntry[]): boolean {
    const file = children.find((child) => posix.basename(child.path) === SKILL_FILE && !child.isDirectory);
    if (file === undefined) return false;
    const header = readSkillHeader(file.text ?? '');
    const { name, description } = header;
    this.#prompts.push({ path, ...(name !== undefined && { name }), ...(description !== undefined && { description }) });
    if (!path.includes('/')) this.skills.push(header);
    return true;
  }

  /** False when it is nothing in particular. */
  #addAsOne(path: string, children: readonly ContextEntry[]): boolean {
    const kinds = new Set(children.map(kindOf).filter((kind) => kind !== 'metadata'));
    const [only] = kinds.size === 1 ? kinds : [];
    if (only === 'model') {
      this.#models.push(...children.filter((child) => kindOf(child) === 'model'));
      this.#models.push(...children.filter((child) => kindOf(child) === 'metadata'));
    } else if (only === 'dataset') this.#datasets.push({ path });
    else if (only === 'docs') this.#docs.push({ path });
    else if (only === 'prompt') this.#prompts.push({ path });
    return only !== undefined && only !== 'unknown';
  }

  #open(children: readonly ContextEntry[], level: number): void {
    for (const child of children) {
      const name = posix.basename(child.path);
      if (child.isDirectory) this.#addDirectory(child.path, level + 1);
      else this.#addByKind(child, isReadmeName(name) || isLicenseName(name) ? 'docs' : kindOfName(name));
    }
  }

  finish(details: Package): Kitfile {
    const metadata = this.#metadata.map(({ path }) => ({ path }));
    const model = chooseModel(this.#models);
    const datasets = model === undefined ? [...this.#datasets, ...metadata] : this.#datasets;
    const parts = model === undefined ? [] : [...(model.parts ?? []), ...metadata];
    // one layer for everything is clearer than many small ones, and the only way to hold single files of no known kind
    const isCatchAll = this.#hasUnknownFiles || this.#unclear.length > MAX_CODE_LAYERS;
    const code = isCatchAll ? [{ path: '.' }] : [...this.#code, ...this.#unclear];
    return withLicense(this.#license, {
      manifestVersion: '1.0.0',
      package: details,
      ...(model === undefined ? {} : { model: { ...model, ...(parts.length > 0 ? { parts } : {}) } }),
      ...(code.length > 0 ? { code } : {}),
      ...(datasets.length > 0 ? { datasets } : {}),
      ...(this.#docs.length > 0 ? { docs: this.#docs } : {}),
      ...(this.#prompts.length > 0 ? { prompts: this.#prompts } : {}),
    });
  }
}

function kindOfName(path: string): FileKind | 'prompt' {
  return isPromptName(posix.basename(path)) ? 'prompt' : fileKind(path);
}

function kindOf({ isDirectory, path }: ContextEntry): FileKind | 'prompt' {
  return isDirectory ? 'unknown' : kindOfName(path);
}

/** A file much larger than the others is the model and they are its parts; else the first of equals is. */
function chooseModel(files: readonly ContextEntry[]): Model | undefined {
  const [first] = files;
  if (first === undefined) return undefined;
  if (files.length === 1) return { name: withoutExtension(first.path), path: first.path };
  const largest = files.reduce((best, file) => (file.size > best.size ? file : best));
  const average = Math.floor(files.reduce((sum, { size }) => sum + size, 0) / files.length);
  const stands = largest.size > average + Math.floor(average / 2);
  const main = stands ? largest : first;
  const parts = files.filter((file) => file !== main).map(({ path }) => ({ path }));
  return { ...(stands ? { name: withoutExtension(main.path) } : {}), path: main.path, parts };
}

function withoutExtension(path: string): string {
  const name = posix.basename(path);
  const dot = name.lastIndexOf('.');
  return dot === -1 ? path : path.slice(0, path.length - (name.length - dot));
}

/** Puts the license where it most likely applies: the model, the only dataset, the only code, else the package. */
function withLicense(license: string | undefined, kitfile: Kitfile): Kitfile {
  if (license === undefined) return kitfile;
  if (kitfile.model !== undefined) return { ...kitfile, model: { ...kitfile.model, license } };
  if (kitfile.datasets?.length === 1) return { ...kitfile, datasets: kitfile.datasets.map((dataset) => ({ ...dataset, license })) };
  if (kitfile.code?.length === 1) return { ...kitfile, code: kitfile.code.map((code) => ({ ...code, license })) };
  return { ...kitfile, package: { ...kitfile.package, license } };
}
