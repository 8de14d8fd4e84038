import { readFrontMatter } from './front-matter.ts';

/** The file that makes a directory an agent skill (agentskills.io/specification). */
export const SKILL_FILE = 'SKILL.md';
/** So much of the beginning of a SKILL.md is read for its header. */
export const MAX_SKILL_HEADER = 64 * 1024;

/** What a skill says of itself. Nothing of it has been checked. */
export interface SkillHeader {
  readonly name?: string;
  readonly description?: string;
  readonly license?: string;
}

/** The header of a SKILL.md; empty where it has none. */
export function readSkillHeader(text: string): SkillHeader {
  const { name, description, license } = readFrontMatter(text, SKILL_FILE) ?? {};
  return {
    ...(typeof name === 'string' && name !== '' && { name }),
    ...(typeof description === 'string' && description !== '' && { description }),
    ...(typeof license === 'string' && license !== '' && { license }),
  };
}
