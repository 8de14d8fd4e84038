import { KitError } from '../errors.ts';
import type { Kit } from '../operations/kit.ts';
import { installedAgents, parseAgents } from '../operations/skill/agents.ts';
import type { InstalledSkill } from '../operations/skill/install.ts';
import { unpackSkills, type UnpackSkillsArguments } from '../operations/skill/unpack-skills.ts';
import type { CliContext } from './context.ts';
import { singleLine } from './render/plain-text.ts';
import { printMessage } from './render/text.ts';

/** The agents that are named, or with `auto`, as in KitOps, those that are found. @throws KitError USAGE */
export function chooseAgents(text: string, { env }: CliContext): string[] {
  if (text.trim() !== 'auto') return parseAgents(text);
  const found = installedAgents(env);
  if (found.length === 0) {
    throw new KitError('USAGE', 'no agents were found in your home directory', {
      hint: 'name them, for example claude-code,cursor; `agents` stands for those that read .agents/skills',
    });
  }
  printMessage(`Detected installed agents: ${found.join(', ')}`);
  return found;
}

/** `kit unpack --as-skill`. */
export async function unpackAsSkills(kit: Kit, args: UnpackSkillsArguments, format: string, context: CliContext): Promise<void> {
  const result = await unpackSkills(kit, args, context.call);
  const others = result.others.map((path) => singleLine(`Skipping prompt ${path}: it holds no SKILL.md`));
  context.result(format, result, [...others, ...describeSkills(result.skills)]);
}

/** A line for each skill and agent. */
export function describeSkills(skills: readonly InstalledSkill[]): string[] {
  return skills.map(({ name, agent, path, outcome }) =>
    outcome === 'installed'
      ? `Installed skill '${name}' for ${agent} → ${path}`
      : `Skipped skill '${name}' for ${agent}: already exists (use -o to overwrite)`,
  );
}
