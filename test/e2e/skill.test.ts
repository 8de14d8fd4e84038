import { mkdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

async function withSkill(): Promise<Sandbox> {
  const box = await sandbox();
  await box.write({
    'in/skills/docx/SKILL.md': '---\nname: Docx Tools\ndescription: Edits documents\n---\n# How\n',
    'in/skills/docx/scripts/run.sh': '#!/bin/sh\n',
    'in/CLAUDE.md': 'Be kind\n',
    'in/Kitfile': 'manifestVersion: 1.0.0\nprompts:\n  - path: skills/docx\n  - path: CLAUDE.md\n',
  });
  await box.ok('pack in -t skills:v1');
  return box;
}

test('unpack --as-skill installs for the agents that are found, before or after the reference', async () => {
  const box = await withSkill();
  expect(await box.kit('unpack --as-skill skills:v1')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: no agents were found in your home directory

    hint: name them, for example claude-code,cursor; \`agents\` stands for those that read .agents/skills
  `);
  await mkdir(box.path('.claude'));
  await mkdir(box.path('.codex'));
  expect(await box.kit('unpack --as-skill skills:v1')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Skipping prompt CLAUDE.md: it holds no SKILL.md
    Installed skill 'docx-tools' for claude-code → <TMP>/.claude/skills/docx-tools
    Installed skill 'docx-tools' for codex → <TMP>/.codex/skills/docx-tools
    --- stderr
    Detected installed agents: claude-code, codex
  `);
  expect(await box.tree('.claude')).toEqual([
    'skills/',
    'skills/docx-tools/',
    'skills/docx-tools/SKILL.md',
    'skills/docx-tools/scripts/',
    'skills/docx-tools/scripts/run.sh',
  ]);
  expect(await box.kit('unpack skills:v1 --as-skill')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    Detected installed agents: claude-code, codex
    error: the skill docx-tools is there already: <TMP>/.claude/skills/docx-tools

    hint: use \`--overwrite\` to replace it, or \`--ignore-existing\` to keep it; nothing was written
  `);
  expect(await box.kit('unpack skills:v1 --as-skill -i')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Skipping prompt CLAUDE.md: it holds no SKILL.md
    Skipped skill 'docx-tools' for claude-code: already exists (use -o to overwrite)
    Skipped skill 'docx-tools' for codex: already exists (use -o to overwrite)
    --- stderr
    Detected installed agents: claude-code, codex
  `);
  expect((await box.kit('unpack skills:v1 --as-skill=auto -o')).status).toBe(0);
});

test('unpack --as-skill=NAMES -d installs in a project, straight from a registry', async () => {
  const box = await withSkill();
  const registry = await startRegistry();
  try {
    await box.ok(`push skills:v1 ${registry.host}/team/skills:v1`);
    await box.ok('remove skills:v1');
    expect(await box.kit(`unpack ${registry.host}/team/skills:v1 --as-skill=cursor,windsurf -d project`)).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Skipping prompt CLAUDE.md: it holds no SKILL.md
      Installed skill 'docx-tools' for cursor → <TMP>/project/.agents/skills/docx-tools
      Installed skill 'docx-tools' for windsurf → <TMP>/project/.windsurf/skills/docx-tools
    `);
    expect((await box.tree('project')).filter((path) => path.endsWith('.md'))).toEqual([
      '.agents/skills/docx-tools/SKILL.md',
      '.windsurf/skills/docx-tools/SKILL.md',
    ]);
  } finally {
    await registry.close();
  }
});

test('unpack --as-skill refuses what makes no sense', async () => {
  const box = await withSkill();
  expect(await box.kit('unpack skills:v1 --as-skill=claud -d project')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('error: unknown agent `claud`\n\nhint: the agents are adal, agents, amp,') as string,
  });
  expect(await box.kit('unpack skills:v1 --as-skill=agents --include-remote')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: --as-skill does not go with --include-remote

    hint: \`kit unpack --help\` shows its arguments and options
  `);
  expect(await box.kit('unpack skills:v1 --as-skill=agents -d project --filter prompts:CLAUDE.md')).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: no prompt of skills:v1 holds a SKILL.md, which makes it a skill

    hint: \`kit unpack skills:v1 --filter prompts\` unpacks them as files
  `);
  expect(await box.kit('unpack skills:v1 --as-skill=agents -o -i')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: --overwrite and --ignore-existing contradict each other

    hint: \`kit unpack --help\` shows its arguments and options
  `);
});

test('kit skill installs what it prints', async () => {
  const box = await sandbox();
  const text = await box.ok('skill --print');
  expect(text).toMatch(/^---\nname: kitops\n/);
  expect(await box.kit('skill')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: no agents were found in your home directory

    hint: name them, for example claude-code,cursor; \`agents\` stands for those that read .agents/skills
  `);
  await mkdir(box.path('.claude'));
  expect(await box.kit('skill')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Installed skill 'kitops' for claude-code → <TMP>/.claude/skills/kitops
    --- stderr
    Detected installed agents: claude-code
  `);
  expect(await readFile(box.path('.claude/skills/kitops/SKILL.md'), 'utf8')).toBe(text);
  await box.write({ '.claude/skills/kitops/SKILL.md': 'old' });
  expect(await box.kit('skill')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    Detected installed agents: claude-code
    error: the skill kitops is there already: <TMP>/.claude/skills/kitops

    hint: use \`--overwrite\` to replace it, or \`--ignore-existing\` to keep it; nothing was written
  `);
  await box.ok('skill -i');
  expect(await readFile(box.path('.claude/skills/kitops/SKILL.md'), 'utf8')).toBe('old');
  await box.ok('skill -o');
  expect(await readFile(box.path('.claude/skills/kitops/SKILL.md'), 'utf8')).toBe(text);
  expect(await box.kit('skill --agents agents -d project --format json')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    {
      "skills": [
        {
          "name": "kitops",
          "agent": "agents",
          "path": "<TMP>/project/.agents/skills/kitops",
          "outcome": "installed"
        }
      ]
    }
  `);
  expect(await box.kit('skill --print -d project')).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: --print installs nothing

    hint: leave out --agents, --dir, --overwrite and --ignore-existing
  `);
});

test('init takes name and description of a skill', async () => {
  const box = await withSkill();
  expect(await box.kit('init in/skills/docx -o -')).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    manifestVersion: 1.0.0
    package:
      name: Docx Tools
      description: Edits documents
    prompts:
      - name: Docx Tools
        path: .
        description: Edits documents
  `);
});

test('import reads the headers of skills', async () => {
  const box = await withSkill();
  await box.write({ 'repo/review/SKILL.md': '---\nname: Review\ndescription: Reviews code\n---\n', 'repo/AGENTS.md': 'x\n' });
  await box.ok(['import', box.path('repo'), '-t', 'imported:v1']);
  expect(await box.ok('info imported:v1')).toMatchInlineSnapshot(`
    "manifestVersion: 1.0.0
    package:
      name: repo
      description: Reviews code
    prompts:
      - path: AGENTS.md
      - name: Review
        path: review
        description: Reviews code
    "
  `);
});

test('push says what goes where, as KitOps does', async () => {
  const box = await withSkill();
  const registry = await startRegistry();
  try {
    const name = `${registry.host}/team/skills`;
    expect(await box.ok(`push skills:v1 ${name}:v1,v2`)).toMatchInlineSnapshot(`
      "Pushing skills:v1 to 127.0.0.1:55555/team/skills:v1
      Pushed sha256:97dd8af6ce9a3e50f7bae916b46110ce74356dfb645bb7d070cd29577e1a41f2
      Pushing skills:v1 to 127.0.0.1:55555/team/skills:v2
      Pushed sha256:97dd8af6ce9a3e50f7bae916b46110ce74356dfb645bb7d070cd29577e1a41f2
      "
    `);
    await box.ok(`tag skills:v1 ${name}:v1`);
    expect(await box.ok(`push ${name}:v1 ${name}:v1`)).toMatch(/^Pushing 127\.0\.0\.1:55555\/team\/skills:v1\n/);
  } finally {
    await registry.close();
  }
});
