import { chmod, copyFile, open, readdir, stat } from 'node:fs/promises';
import { basename, join, posix } from 'node:path';
import { isWithin } from '../../blobs/safe-path.ts';
import { MAX_SKILL_HEADER, readSkillHeader, SKILL_FILE } from '../../kitfile/skill-header.ts';
import type { Skill, SkillFile } from './install.ts';
import { skillDirectoryName } from './skill-name.ts';

/** What a skill is called that has no name of its own. */
export interface FallbackNames {
  /** Name of the prompt in the Kitfile. */
  readonly prompt: string | undefined;
  /** Reference of the artifact. */
  readonly artifact: string;
}

/**
 * The skills in a directory that was unpacked, which must be ours alone: every directory that holds a SKILL.md, with what is below it.
 * Paths of their files begin there, wherever in the prompt that was.
 */
export async function findSkills(directory: string, fallback: FallbackNames): Promise<Skill[]> {
  const files = await openUp(directory, '');
  const holders = files.filter((path) => posix.basename(path) === SKILL_FILE).map((path) => posix.dirname(path));
  // one below another is a part of it
  const roots = holders.filter((root) => !holders.some((other) => other !== root && isWithin(root, other)));
  const name = roots.length === 1 ? fallback.prompt : undefined;
  return await Promise.all(
    roots.map(async (root): Promise<Skill> => {
      const paths = files.filter((path) => isWithin(path, root));
      const skill = await Promise.all(paths.map(async (path) => await toSkillFile(join(directory, path), posix.relative(root, path))));
      const header = readSkillHeader(await readStart(join(directory, root, SKILL_FILE)));
      const around = root === '.' ? repositoryOf(fallback.artifact) : posix.basename(root);
      return { name: skillDirectoryName(header.name ?? name ?? around), files: skill };
    }),
  );
}

/** The files below, whatever the modes that an archive gave to its directories. */
async function openUp(directory: string, prefix: string): Promise<string[]> {
  await chmod(join(directory, prefix), 0o700);
  const found: string[] = [];
  for (const entry of await readdir(join(directory, prefix), { withFileTypes: true })) {
    const path = prefix + entry.name;
    if (entry.isDirectory()) found.push(...(await openUp(directory, `${path}/`)));
    else found.push(path);
  }
  return found.toSorted();
}

async function toSkillFile(from: string, path: string): Promise<SkillFile> {
  const isExecutable = ((await stat(from)).mode & 0o100) !== 0;
  await chmod(from, 0o600);
  return { path, isExecutable, writeTo: async (to) => await copyFile(from, to) };
}

async function readStart(file: string): Promise<string> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAX_SKILL_HEADER), 0, MAX_SKILL_HEADER, 0);
  return buffer.toString('utf8', 0, bytesRead);
}

/** `ghcr.io/team/mymodel:v1` is `mymodel`. */
function repositoryOf(reference: string): string {
  return basename(reference.replace(/@.*$/, '')).replace(/:.*$/, '');
}
