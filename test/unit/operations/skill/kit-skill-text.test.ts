import { Command } from 'commander';
import { expect, test } from 'vitest';
import { normalizeArguments } from '../../../../src/cli/arguments.ts';
import { COMMANDS } from '../../../../src/cli/commands.ts';
import { addGlobalOptions } from '../../../../src/cli/options/global.ts';
import { CODES, EXIT } from '../../../../src/errors.ts';
import { parseKitfile } from '../../../../src/kitfile/parse.ts';
import { readSkillHeader } from '../../../../src/kitfile/skill-header.ts';
import { parseFilter } from '../../../../src/operations/artifact/filter.ts';
import { installKitSkill } from '../../../../src/operations/skill/kit-skill.ts';
import { KIT_SKILL } from '../../../../src/operations/skill/kit-skill-text.ts';
import { skillDirectoryName } from '../../../../src/operations/skill/skill-name.ts';
import { workspace } from '../sandbox.ts';

const blocks = [...KIT_SKILL.matchAll(/```(\w+)\n(.*?)```/gs)].map(([, language, text = '']) => ({ language, text }));
const lines = blocks
  .filter(({ language }) => language === 'sh')
  .flatMap(({ text }) => text.trim().split('\n'))
  .map((line) => line.replace(/\s+#.*$/, '').replace(/^.*\| (?=kit )/, ''));

/** The words that a shell makes of a line. */
function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|([^\s"']+)/g)].map(([, double, single, bare]) => double ?? single ?? bare ?? '');
}

test('the skill is one: a name that is that of its directory, and a description that fits', async () => {
  const space = workspace();
  const { name = '', description = '', license } = readSkillHeader(KIT_SKILL);
  const [installed] = await installKitSkill({ agents: ['agents'], project: space.root, env: {}, conflict: 'fail' });
  expect(installed?.name).toBe(name);
  expect(skillDirectoryName(name)).toBe(name);
  expect(description.length).toBeGreaterThan(50);
  expect(description.length).toBeLessThanOrEqual(1024);
  expect(license).toBe('Apache-2.0');
  // what the specification recommends
  expect(KIT_SKILL.split('\n').length).toBeLessThan(500);
});

test('it has the lines of a day', () => {
  expect(new Set(lines.map((line) => words(line)[1]))).toEqual(
    new Set('init pack login push pull unpack tag copy list remove info inspect files cat diff generate-key-pair sign verify'.split(' ')),
  );
});

test.each(lines)('%s', async (line) => {
  const [kit, name = '', ...args] = words(line);
  expect(kit).toBe('kit');
  const program = addGlobalOptions(new Command('kit')).exitOverride();
  const command = addGlobalOptions(program.command(name))
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  const module = await COMMANDS.find((entry) => entry.name === name)?.load();
  module?.register(command, () => Promise.reject(new Error('not called')));
  let ran = false;
  command.action(() => void (ran = true));
  await program.parseAsync(normalizeArguments([name, ...args], program), { from: 'user' });
  expect(ran).toBe(true);
  for (const [index, word] of args.entries()) if (word === '--filter') parseFilter(args[index + 1] ?? '');
});

test('every option and command that the text names is there', async () => {
  const options = new Set<string>();
  for (const entry of COMMANDS) {
    const command = addGlobalOptions(new Command(entry.name));
    (await entry.load()).register(command, () => Promise.reject(new Error('not called')));
    for (const { long, short } of command.options) for (const flag of [long, short]) if (flag) options.add(flag);
  }
  const prose = KIT_SKILL.replaceAll(/```.*?```/gs, '');
  const spans = [...prose.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span);
  const flags = spans.flatMap((span) => /^--?[a-z][a-z-]*/.exec(span)?.[0] ?? []);
  expect(flags.length).toBeGreaterThan(5);
  expect(flags.filter((flag) => !options.has(flag))).toEqual([]);
  const commands = spans.flatMap((span) => /^kit ([a-z][a-z-]*)/.exec(span)?.[1] ?? []);
  expect(commands.filter((name) => !COMMANDS.some((entry) => entry.name === name))).toEqual([]);
});

test('the exit statuses and codes are those of kit', () => {
  const statuses = [...KIT_SKILL.matchAll(/^\| (\d+) \|/gm)].map(([, status]) => Number(status));
  expect(statuses).toEqual([0, ...Object.values(EXIT).filter((status) => status !== EXIT.interrupted)]);
  const codes = [...KIT_SKILL.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code ?? '');
  expect(codes.length).toBeGreaterThan(8);
  expect(codes.filter((code) => !Object.hasOwn(CODES, code))).toEqual([]);
});

test('the Kitfile of the text is one', () => {
  const [kitfile] = blocks.filter(({ language }) => language === 'yaml');
  expect(parseKitfile(kitfile?.text ?? '', 'SKILL.md').kitfile.prompts).toEqual([{ path: 'skills/review' }]);
});
