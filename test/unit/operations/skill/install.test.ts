import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type InstallTarget, installSkills, type Skill, type SkillFile } from '../../../../src/operations/skill/install.ts';
import { type Workspace, workspace } from '../sandbox.ts';

function file(path: string, content = path, isExecutable = false): SkillFile {
  return { path, isExecutable, writeTo: async (to) => await writeFile(to, content, { flag: 'wx' }) };
}

const skill = (name: string, ...files: SkillFile[]): Skill => ({ name, files: [file('SKILL.md', name), ...files] });

function target(space: Workspace, agents: readonly string[], change: Partial<InstallTarget> = {}): InstallTarget {
  return { agents, env: { HOME: space.path('alice') }, conflict: 'fail', ...change };
}

const namesIn = (directory: string): string[] => readdirSync(directory, { recursive: true, encoding: 'utf8' }).toSorted();

test('skills go to each agent, once where agents share a directory', async () => {
  const space = workspace();
  const skills = [skill('one', file('scripts/run.sh', '#!', true)), skill('two')];
  const installed = await installSkills(skills, target(space, ['claude-code', 'warp', 'agents']));
  expect(installed.map(({ name, agent, path, outcome }) => [name, agent, path.replace(space.root, ''), outcome])).toEqual([
    ['one', 'claude-code', '/alice/.claude/skills/one', 'installed'],
    ['two', 'claude-code', '/alice/.claude/skills/two', 'installed'],
    ['one', 'warp', '/alice/.agents/skills/one', 'installed'],
    ['one', 'agents', '/alice/.agents/skills/one', 'installed'],
    ['two', 'warp', '/alice/.agents/skills/two', 'installed'],
    ['two', 'agents', '/alice/.agents/skills/two', 'installed'],
  ]);
  expect(namesIn(space.path('alice/.claude/skills'))).toEqual([
    'one',
    'one/SKILL.md',
    'one/scripts',
    'one/scripts/run.sh',
    'two',
    'two/SKILL.md',
  ]);
  expect(statSync(space.path('alice/.agents/skills/one/scripts/run.sh')).mode & 0o777).toBe(0o755);
  expect(statSync(space.path('alice/.agents/skills/one/SKILL.md')).mode & 0o777).toBe(0o644);
});

test('one that is there stops all of them', async () => {
  const space = workspace();
  space.write({ 'alice/.agents/skills/two/SKILL.md': 'mine' });
  await expect(installSkills([skill('one'), skill('two')], target(space, ['claude-code', 'agents']))).rejects.toThrow(
    expect.objectContaining({ code: 'PATH_EXISTS', message: `the skill two is there already: ${space.path('alice/.agents/skills/two')}` }),
  );
  expect(namesIn(space.path('alice'))).toEqual(['.agents', '.agents/skills', '.agents/skills/two', '.agents/skills/two/SKILL.md']);
});

test('one that is there stays, or is replaced as a whole', async () => {
  const space = workspace();
  space.write({ 'alice/.claude/skills/one/SKILL.md': 'mine', 'alice/.claude/skills/one/old.md': 'old' });
  const kept = await installSkills([skill('one'), skill('two')], target(space, ['claude-code'], { conflict: 'keep' }));
  expect(kept.map(({ name, outcome }) => [name, outcome])).toEqual([
    ['one', 'kept'],
    ['two', 'installed'],
  ]);
  expect(readFileSync(space.path('alice/.claude/skills/one/SKILL.md'), 'utf8')).toBe('mine');
  await installSkills([skill('one')], target(space, ['claude-code'], { conflict: 'overwrite' }));
  expect(namesIn(space.path('alice/.claude/skills'))).toEqual(['one', 'one/SKILL.md', 'two', 'two/SKILL.md']);
  expect(readFileSync(space.path('alice/.claude/skills/one/SKILL.md'), 'utf8')).toBe('one');
});

test('a link in the place of a skill makes way itself; nothing goes through it', async () => {
  const space = workspace();
  space.write({ 'elsewhere/SKILL.md': 'mine' });
  mkdirSync(space.path('alice/.claude/skills'), { recursive: true });
  symlinkSync(space.path('elsewhere'), space.path('alice/.claude/skills/one'));
  await expect(installSkills([skill('one')], target(space, ['claude-code']))).rejects.toMatchObject({ code: 'PATH_EXISTS' });
  await installSkills([skill('one')], target(space, ['claude-code'], { conflict: 'overwrite' }));
  expect(lstatSync(space.path('alice/.claude/skills/one')).isSymbolicLink()).toBe(false);
  expect(readFileSync(space.path('elsewhere/SKILL.md'), 'utf8')).toBe('mine');
});

test('when a file cannot be written, everything is as it was', async () => {
  const space = workspace();
  space.write({ 'alice/.claude/skills/one/SKILL.md': 'mine' });
  const broken: SkillFile = { path: 'x.md', isExecutable: false, writeTo: async () => await Promise.reject(new Error('broken')) };
  const skills = [skill('one'), skill('two', broken)];
  await expect(installSkills(skills, target(space, ['claude-code', 'agents'], { conflict: 'overwrite' }))).rejects.toThrow('broken');
  expect(namesIn(space.path('alice'))).toEqual(['.claude', '.claude/skills', '.claude/skills/one', '.claude/skills/one/SKILL.md']);
  expect(readFileSync(space.path('alice/.claude/skills/one/SKILL.md'), 'utf8')).toBe('mine');
});

test('when the last finds its place taken by now, the others lose theirs', async () => {
  const space = workspace();
  const late: SkillFile = {
    path: 'x.md',
    isExecutable: false,
    writeTo: async (to) => {
      await writeFile(to, '');
      space.write({ 'alice/.claude/skills/two/SKILL.md': 'theirs' });
    },
  };
  await expect(installSkills([skill('one'), skill('two', late)], target(space, ['claude-code']))).rejects.toMatchObject({
    code: 'PATH_EXISTS',
  });
  expect(namesIn(space.path('alice/.claude/skills'))).toEqual(['two', 'two/SKILL.md']);
});

test('a project whose links lead out of it gets nothing', async () => {
  const space = workspace();
  mkdirSync(space.path('outside'));
  mkdirSync(space.path('project'));
  symlinkSync('../outside', space.path('project/.claude'));
  await expect(installSkills([skill('one')], target(space, ['claude-code'], { project: space.path('project') }))).rejects.toThrow(
    expect.objectContaining({
      code: 'UNSAFE_PATH',
      message: `${space.path('project/.claude/skills')} leads out of the project, to ${space.path('outside/skills')}`,
    }),
  );
  symlinkSync('../nowhere', space.path('project/.windsurf'));
  await expect(installSkills([skill('one')], target(space, ['windsurf'], { project: space.path('project') }))).rejects.toMatchObject({
    code: expect.stringMatching(/^PATH_/) as string,
  });
  expect(namesIn(space.path('outside'))).toEqual([]);
  expect(existsSync(space.path('nowhere'))).toBe(false);
});

test('a project may have links within, and be one', async () => {
  const space = workspace();
  mkdirSync(space.path('project/.agents'), { recursive: true });
  symlinkSync('.agents', space.path('project/.claude'));
  symlinkSync('project', space.path('link'));
  const installed = await installSkills([skill('one')], target(space, ['claude-code', 'codex'], { project: space.path('link') }));
  expect(installed.map(({ agent, path }) => [agent, path])).toEqual([
    ['claude-code', space.path('project/.agents/skills/one')],
    ['codex', space.path('project/.agents/skills/one')],
  ]);
});
