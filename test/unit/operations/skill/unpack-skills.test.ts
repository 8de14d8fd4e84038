import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseLocation } from '../../../../src/oci/reference.ts';
import { parseFilter } from '../../../../src/operations/artifact/filter.ts';
import { pack, type PackArguments } from '../../../../src/operations/pack/pack.ts';
import { unpackSkills, type UnpackSkillsArguments } from '../../../../src/operations/skill/unpack-skills.ts';
import { openRegistry, publish } from '../remote-artifact.ts';
import { type Workspace, workspace } from '../sandbox.ts';

const source = parseLocation('team/box:v1');

function skillFile(name: string): string {
  return `---\nname: ${JSON.stringify(name)}\ndescription: d\n---\n# Do it\n`;
}

async function packed(files: Readonly<Record<string, string>>, prompts: string, args: Partial<PackArguments> = {}): Promise<Workspace> {
  const space = workspace();
  space.write(Object.fromEntries(Object.entries(files).map(([path, content]) => [`in/${path}`, content])));
  space.write({ 'in/Kitfile': `manifestVersion: 1.0.0\nprompts:\n${prompts}` });
  await pack(space.kit, { directory: space.path('in'), destination: source, ...args });
  return space;
}

async function unpacked(space: Workspace, args: Partial<UnpackSkillsArguments> = {}) {
  return await unpackSkills(space.kit, { source, agents: ['agents'], project: space.path('out'), ...args }, space.call);
}

const tree = (space: Workspace): string[] =>
  readdirSync(space.path('out/.agents/skills'), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.\w+$/.test(path))
    .toSorted();

test.each(['tar', 'raw'] as const)('a prompt becomes a skill, with its SKILL.md at the top; from %s layers', async (layerFormat) => {
  const files = {
    'skills/docx/SKILL.md': skillFile('Docx Tools'),
    'skills/docx/scripts/run.sh': '#!/bin/sh\n',
    'CLAUDE.md': 'x',
    'data.csv': '1',
  };
  const space = await packed(files, '  - path: skills/docx\n  - path: CLAUDE.md\ndatasets:\n  - path: data.csv\n', { layerFormat });
  const result = await unpacked(space);
  expect(result.skills).toEqual([
    { name: 'docx-tools', agent: 'agents', path: space.path('out/.agents/skills/docx-tools'), outcome: 'installed' },
  ]);
  expect(tree(space)).toEqual(['docx-tools/SKILL.md', 'docx-tools/scripts/run.sh']);
  expect(readFileSync(space.path('out/.agents/skills/docx-tools/SKILL.md'), 'utf8')).toBe(files['skills/docx/SKILL.md']);
  // nothing else is unpacked
  expect(readdirSync(space.path('out'))).toEqual(['.agents']);
  expect(result.others).toEqual(['CLAUDE.md']);
});

test('several skills of one prompt come apart, at any depth; one below another is a part of it', async () => {
  const files = {
    's/a/SKILL.md': 'no header',
    's/x/y/b/SKILL.md': skillFile('b'),
    's/x/y/b/sub/SKILL.md': skillFile('c'),
    's/notes.md': 'n',
  };
  const space = await packed(files, '  - path: s\n    name: all of them\n');
  await unpacked(space);
  expect(tree(space)).toEqual(['a/SKILL.md', 'b/SKILL.md', 'b/sub/SKILL.md']);
});

test('a skill without a name is called as its prompt, its directory or the repository', async () => {
  const files = { 'one/SKILL.md': 'x', 'two/SKILL.md': 'x', 'SKILL.md': 'x' };
  const space = await packed(files, '  - path: one\n    name: First One\n  - path: two\n  - path: SKILL.md\n');
  await unpacked(space);
  expect(tree(space)).toEqual(['box/SKILL.md', 'first-one/SKILL.md', 'two/SKILL.md']);
});

test('a file of another prompt beside a SKILL.md is no part of the skill', async () => {
  const space = await packed({ 'SKILL.md': skillFile('s'), 'secret.md': 'x' }, '  - path: SKILL.md\n  - path: secret.md\n');
  await unpacked(space);
  expect(tree(space)).toEqual(['s/SKILL.md']);
});

test.each(['../../../evil', '/etc/evil', '.evil', 'x/../../evil'])('a skill of the name %j stays where skills are', async (name) => {
  const space = await packed({ 's/SKILL.md': skillFile(name) }, '  - path: s\n');
  await unpacked(space);
  expect(tree(space)).toHaveLength(1);
  expect(tree(space)[0]).toMatch(/^[a-z-]+\/SKILL\.md$|^x-\.\.-\.\.-evil\/SKILL\.md$/);
  expect(readdirSync(space.root).toSorted()).toEqual(['home', 'in', 'out']);
});

test('files can be read and run by their owner, whatever the archive says', async () => {
  const space = workspace();
  space.write({ 'in/s/SKILL.md': skillFile('s'), 'in/s/d/x.sh': 'x', 'in/Kitfile': 'manifestVersion: 1.0.0\nprompts:\n  - path: s\n' });
  chmodSync(space.path('in/s/d/x.sh'), 0o500);
  chmodSync(space.path('in/s/d'), 0o500);
  await pack(space.kit, { directory: space.path('in'), destination: source });
  await unpacked(space);
  const modeOf = (path: string): number => statSync(space.path('out/.agents/skills/s', path)).mode & 0o777;
  expect([modeOf('SKILL.md'), modeOf('d/x.sh'), modeOf('d') & 0o700]).toEqual([0o644, 0o755, 0o700]);
});

test('two skills of one name are refused, and one can be chosen', async () => {
  const space = await packed({ 'a/SKILL.md': skillFile('Same'), 'b/SKILL.md': skillFile('same') }, '  - path: a\n  - path: b\n');
  await expect(unpacked(space)).rejects.toMatchObject({ code: 'UNSUPPORTED', message: 'two prompts are skills of the name same' });
  expect(existsSync(space.path('out'))).toBe(false);
  await unpacked(space, { filters: [parseFilter('prompts:b')] });
  expect(readFileSync(space.path('out/.agents/skills/same/SKILL.md'), 'utf8')).toContain('"same"');
});

test('where there is no skill, it is an error that says what there is', async () => {
  const space = await packed({ 'CLAUDE.md': 'x', 'skill.md': 'y' }, '  - path: CLAUDE.md\n  - path: skill.md\n');
  await expect(unpacked(space)).rejects.toMatchObject({
    code: 'FILTER_UNMATCHED',
    message: 'no prompt of team/box:v1 holds a SKILL.md, which makes it a skill',
  });
  await expect(unpacked(space, { filters: [parseFilter('model')] })).rejects.toMatchObject({
    code: 'FILTER_UNMATCHED',
    message: '`model` matches no prompt; there is:\n  prompts:CLAUDE.md\n  prompts:skill.md',
  });
  const without = await packed({ 'x.md': 'x' }, '  []\ndocs:\n  - path: x.md\n');
  await expect(unpacked(without)).rejects.toMatchObject({
    code: 'FILTER_UNMATCHED',
    message: 'team/box:v1 holds no prompts, and so no skills',
  });
});

test('prompts beyond the limit are refused, over all of them', async () => {
  const big = 'x'.repeat(6000);
  const space = await packed({ 'a/SKILL.md': skillFile('a') + big, 'b/SKILL.md': skillFile('b') + big }, '  - path: a\n  - path: b\n');
  await expect(unpacked(space, { maxBytes: 16_000 })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
  expect(existsSync(space.path('out'))).toBe(false);
  await unpacked(space, { maxBytes: 32_000 });
});

test('a damaged layer of a registry leaves nothing behind, nor does one that is not admitted', async () => {
  const registry = await openRegistry();
  const files = {
    'a/SKILL.md': skillFile('a'),
    'b/SKILL.md': skillFile('b'),
    Kitfile: 'manifestVersion: 1.0.0\nprompts:\n  - path: a\n  - path: b\n',
  };
  const remote = await publish(registry, 'm:v1', files);
  const space = workspace();
  const args = { source: remote, agents: ['agents'], project: space.path('out') };
  const denied = unpackSkills(space.kit, { ...args, admit: async () => await Promise.reject(new Error('not admitted')) });
  await expect(denied).rejects.toThrow('not admitted');
  const { skills } = await unpackSkills(space.kit, args);
  expect(skills.map(({ name }) => name)).toEqual(['a', 'b']);
  for (const digest of registry.storage.repository('m').blobs) {
    const parts = await Array.fromAsync(registry.storage.read(digest, 0, await registry.storage.size(digest)));
    const text = Buffer.concat(parts).toString('latin1');
    await registry.storage.replaceBlob(digest, Buffer.from(text.replace('name: "b"', 'name: "c"'), 'latin1'));
  }
  await expect(unpackSkills(space.kit, { ...args, project: space.path('other') })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  expect(existsSync(space.path('other'))).toBe(false);
});
