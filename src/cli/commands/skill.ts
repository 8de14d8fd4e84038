import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { installKitSkill } from '../../operations/skill/kit-skill.ts';
import { KIT_SKILL } from '../../operations/skill/kit-skill-text.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { type ConflictFlags, conflictOf } from '../options/conflict.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { chooseAgents, describeSkills } from '../skills.ts';

interface Flags extends ConflictFlags, FormatFlag {
  readonly agents?: string;
  readonly dir?: string;
  readonly print?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .option('-d, --dir <project>', 'install in this project (default: in your home directory, for all projects)')
      .option('--agents <agents>', 'for these agents, comma-separated (default: those found in your home directory)')
      .option('-o, --overwrite', 'replace the skill if it is there')
      .option('-i, --ignore-existing', 'keep the skill if it is there')
      .option('--print', 'only print the SKILL.md'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (flags: Flags) => run(flags, await context()));
}

const EXAMPLES = `
Examples:
  kit skill                                    for all agents that are found
  kit skill --agents claude-code,cursor
  kit skill --agents agents -d .               .agents/skills of this project, which most agents read
  kit skill -o                                 again, after an update of kit
  kit skill --print > SKILL.md                 for an agent that kit does not know`;

async function run(flags: Flags, context: CliContext): Promise<void> {
  const { agents = 'auto', dir: project, format } = flags;
  const conflict = conflictOf(flags);
  if (flags.print === true) {
    if (flags.agents !== undefined || project !== undefined || conflict !== 'fail')
      throw new KitError('USAGE', '--print installs nothing', { hint: 'leave out --agents, --dir, --overwrite and --ignore-existing' });
    return context.result(format, { skill: KIT_SKILL }, [KIT_SKILL.trimEnd()]);
  }
  const chosen = chooseAgents(agents, context);
  const skills = await installKitSkill({ agents: chosen, project, conflict, env: context.env });
  context.result(format, { skills }, describeSkills(skills));
}
