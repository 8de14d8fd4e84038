import { mkdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { AGENT_NAMES, installedAgents, parseAgents, skillsDirectory } from '../../../../src/operations/skill/agents.ts';
import { workspace } from '../sandbox.ts';

test('agents are known by name, in order, once each', () => {
  expect(AGENT_NAMES).toEqual([...new Set(AGENT_NAMES)].toSorted());
  expect(parseAgents(' codex , cursor,codex')).toEqual(['codex', 'cursor']);
});

test.each([
  ['claude-cod', 'unknown agent `claude-cod` (did you mean `claude-code`?)'],
  ['copilot', 'unknown agent `copilot` (did you mean `github-copilot`?)'],
  ['../evil', 'unknown agent `../evil`'],
  ['codex,', 'invalid list of agents `codex,`: a name is empty'],
  ['', 'invalid list of agents ``: a name is empty'],
])('%j is refused', (text, message) => {
  expect(() => parseAgents(text)).toThrow(expect.objectContaining({ code: 'USAGE', message }));
});

test('skills are in the home of the user, where the agent was told that it is', () => {
  const env = { HOME: '/home/alice' };
  expect(skillsDirectory('claude-code', undefined, env)).toBe('/home/alice/.claude/skills');
  expect(skillsDirectory('claude-code', undefined, { ...env, CLAUDE_CONFIG_DIR: '/etc/claude' })).toBe('/etc/claude/skills');
  expect(skillsDirectory('amp', undefined, env)).toBe('/home/alice/.config/agents/skills');
  expect(skillsDirectory('amp', undefined, { ...env, XDG_CONFIG_HOME: '/xdg' })).toBe('/xdg/agents/skills');
  expect(skillsDirectory('codex', undefined, { ...env, CODEX_HOME: ' ' })).toBe('/home/alice/.codex/skills');
  expect(skillsDirectory('agents', undefined, env)).toBe('/home/alice/.agents/skills');
});

test('every agent has a place in a project and in the home', () => {
  for (const agent of AGENT_NAMES) {
    expect(skillsDirectory(agent, '/project', { HOME: '/home/alice' })).toMatch(/^\/project\/(?:\.[a-z-]+\/)?skills$/);
    expect(skillsDirectory(agent, undefined, { HOME: '/home/alice' })).toMatch(/^\/home\/alice\/\.[\w/.-]+\/skills$/);
  }
});

test('agents are found by their directories', () => {
  const space = workspace();
  const env = { HOME: space.path('alice'), XDG_CONFIG_HOME: space.path('xdg') };
  expect(installedAgents(env)).toEqual([]);
  space.write({ 'alice/.cursor': 'a file', 'alice/.claude/settings.json': '{}' });
  for (const folder of ['alice/.moltbot', 'xdg/amp', 'alice/.agents', 'xdg/agents']) mkdirSync(space.path(folder), { recursive: true });
  expect(installedAgents(env)).toEqual(['amp', 'claude-code', 'openclaw']);
});
