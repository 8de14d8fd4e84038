import { lstatSync, realpathSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Journal } from '../../blobs/journal.ts';
import { asPathError } from '../../blobs/path-error.ts';
import { isWithin } from '../../blobs/safe-path.ts';
import { StagingFolder } from '../../blobs/staging-folder.ts';
import type { Conflict } from '../../blobs/staging.ts';
import { KitError } from '../../errors.ts';
import { skillsDirectory } from './agents.ts';

export interface SkillFile {
  /** Below the directory of the skill; safe. */
  readonly path: string;
  readonly isExecutable: boolean;
  /** Writes the content to a path where nothing is. */
  readonly writeTo: (path: string) => Promise<void>;
}

export interface Skill {
  /** Of its directory: see skillDirectoryName. */
  readonly name: string;
  readonly files: readonly SkillFile[];
}

export interface InstallTarget {
  readonly agents: readonly string[];
  /** Directory of the project; undefined: the user's home. */
  readonly project?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What to do when there is a skill of that name: it is replaced as a whole, or stays as it is. */
  readonly conflict: Conflict;
}

export interface InstalledSkill {
  readonly name: string;
  readonly agent: string;
  /** Absolute. */
  readonly path: string;
  /** `kept`: one was there. */
  readonly outcome: 'installed' | 'kept';
}

/**
 * Writes skills for agents. Each is moved into place as a whole when all of them are written; when anything fails, everything is as it was.
 * @throws KitError PATH_EXISTS | UNSAFE_PATH | DISK_FULL ...
 */
export async function installSkills(skills: readonly Skill[], target: InstallTarget): Promise<InstalledSkill[]> {
  const places: { readonly folder: StagingFolder; readonly agents: readonly string[] }[] = [];
  try {
    for (const [directory, agents] of byDirectory(target)) places.push({ folder: new StagingFolder(directory), agents });
    const plan = places.flatMap((place) =>
      skills.map((skill) => ({
        ...place,
        skill,
        path: join(place.folder.target, skill.name),
        outcome: outcomeOf(place.folder, skill, target),
      })),
    );
    const wanted = plan.filter(({ outcome }) => outcome === 'installed');
    for (const { folder, skill } of wanted) await stage(folder, skill);
    commit(wanted, target.conflict);
    return plan.flatMap(({ agents, skill: { name }, path, outcome }) => agents.map((agent) => ({ name, agent, path, outcome })));
  } finally {
    for (const { folder } of places) await folder.remove();
  }
}

/** Several agents read one directory. @throws KitError UNSAFE_PATH */
function byDirectory({ agents, project, env }: InstallTarget): Map<string, readonly string[]> {
  return Map.groupBy(agents, (agent) => {
    const directory = realFuturePath(skillsDirectory(agent, project, env));
    // a project may be somebody else's; where the skills of the user are is the user's affair
    if (project !== undefined && !isWithin(directory, realFuturePath(project))) {
      throw new KitError('UNSAFE_PATH', `${skillsDirectory(agent, project, env)} leads out of the project, to ${directory}`, {
        hint: 'nothing was written; remove the symbolic link',
      });
    }
    return directory;
  });
}

/** The real path that a directory has, or will have when it is made. */
function realFuturePath(path: string): string {
  const absolute = resolve(path);
  try {
    return realpathSync.native(absolute);
  } catch {
    const parent = dirname(absolute);
    return parent === absolute ? absolute : join(realFuturePath(parent), basename(absolute));
  }
}

/** @throws KitError PATH_EXISTS */
function outcomeOf(folder: StagingFolder, { name }: Skill, { conflict }: InstallTarget): InstalledSkill['outcome'] {
  const path = join(folder.target, name);
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined || conflict === 'overwrite') return 'installed';
  if (conflict === 'keep') return 'kept';
  throw takenBy(name, path);
}

function takenBy(name: string, path: string): KitError {
  return new KitError('PATH_EXISTS', `the skill ${name} is there already: ${path}`, {
    hint: 'use `--overwrite` to replace it, or `--ignore-existing` to keep it; nothing was written',
  });
}

async function stage(folder: StagingFolder, { name, files }: Skill): Promise<void> {
  const root = join(folder.incoming, name);
  try {
    for (const { path, isExecutable, writeTo } of files) {
      const file = join(root, path);
      await mkdir(dirname(file), { recursive: true });
      await writeTo(file);
      await chmod(file, isExecutable ? 0o755 : 0o644);
    }
  } catch (error) {
    throw asPathError(error, join(folder.target, name));
  }
}

function commit(
  wanted: readonly { readonly folder: StagingFolder; readonly skill: Skill; readonly path: string }[],
  conflict: Conflict,
): void {
  // over several directories: each has a folder of its own for what makes way
  const journal = new Journal('');
  for (const { folder, skill, path: to } of wanted) {
    try {
      // whatever is there goes as a whole: a link itself, not what it leads to
      const isTaken = lstatSync(to, { throwIfNoEntry: false }) !== undefined;
      if (isTaken && conflict !== 'overwrite') throw takenBy(skill.name, to);
      if (isTaken) journal.move(to, join(folder.replaced, skill.name));
      journal.move(join(folder.incoming, skill.name), to);
    } catch (error) {
      journal.undo();
      throw asPathError(error, to);
    }
  }
}
