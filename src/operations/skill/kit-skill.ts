import { writeFile } from 'node:fs/promises';
import { type InstalledSkill, installSkills, type InstallTarget, type Skill } from './install.ts';
import { KIT_SKILL } from './kit-skill-text.ts';

/** That of KitOps' own skill, which is about the same command: one of the two is enough. */
const SKILL: Skill = {
  name: 'kitops',
  files: [{ path: 'SKILL.md', isExecutable: false, writeTo: async (path) => await writeFile(path, KIT_SKILL, { flag: 'wx' }) }],
};

/** Installs the skill that teaches agents to use `kit`. @throws KitError PATH_EXISTS | UNSAFE_PATH ... */
export async function installKitSkill(target: InstallTarget): Promise<InstalledSkill[]> {
  return await installSkills([SKILL], target);
}
