import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { type ContextEntry, generateKitfile } from '../../../src/kitfile/generate.ts';
import type { Kitfile } from '../../../src/kitfile/types.ts';
import { validateKitfile } from '../../../src/kitfile/validate.ts';

interface Case {
  readonly name: string;
  readonly modelName: string;
  readonly description: string;
  readonly files: readonly string[];
  readonly expected: Kitfile;
}

const cases = JSON.parse(readFileSync(new URL('../../../fixtures/kitfile-generation/cases.json', import.meta.url), 'utf8')) as Case[];

/** Files by path (with their size), and the directories around them. */
function context(files: Readonly<Record<string, number>>): ContextEntry[] {
  const directories = Object.keys(files).flatMap((path) =>
    path
      .split('/')
      .slice(0, -1)
      .map((_, index, names) => names.slice(0, index + 1).join('/')),
  );
  return [
    ...Object.entries(files).map(([path, size]) => ({ path, size, isDirectory: false })),
    ...[...new Set(directories)].map((path) => ({ path, size: 4096, isDirectory: true })),
  ];
}

const sized = (paths: readonly string[], size = 10): Record<string, number> => Object.fromEntries(paths.map((path) => [path, size]));

function modelOf(sizes: number[]): Kitfile['model'] {
  return generateKitfile(context(Object.fromEntries(sizes.map((size, index) => [`m${index}.gguf`, size])))).model;
}

function codeOf(directories: number): Kitfile['code'] {
  const files = Array.from({ length: directories }, (_, index) => `d${index}/a.py`);
  return generateKitfile(context(sized([...files, 'src/b.py']))).code;
}

describe('generateKitfile, as kit init', () => {
  it.each(cases)('$name: $description', ({ modelName, description, files, expected }) => {
    const entries = context(Object.fromEntries(files.map((path) => [path, `testing: ${path}`.length])));
    const kitfile = generateKitfile(entries, { name: modelName, description });
    expect(kitfile).toStrictEqual(expected);
    expect(generateKitfile(entries.toReversed(), { name: modelName, description })).toStrictEqual(expected);
    validateKitfile(kitfile, 'Kitfile');
  });

  it('needs a file more than half larger than the average to call it the model', () => {
    expect(modelOf([10, 30])).toStrictEqual({ path: 'm0.gguf', parts: [{ path: 'm1.gguf' }] });
    expect(modelOf([10, 31])).toStrictEqual({ name: 'm1', path: 'm1.gguf', parts: [{ path: 'm0.gguf' }] });
    expect(modelOf([0, 0])).toStrictEqual({ path: 'm0.gguf', parts: [{ path: 'm1.gguf' }] });
  });

  it('looks as deep as it is told', () => {
    const entries = context(sized(['run.sh', 'mix/a.gguf', 'mix/train.csv', 'mix/deep/b.csv', 'mix/deep/c.py', 'mix/empty', 'docs/x.md']));
    expect(generateKitfile(entries, { depth: 0 })).toStrictEqual(generateKitfile(entries));
    expect(generateKitfile(entries).datasets).toBeUndefined();
    expect(generateKitfile(entries, { depth: 1 })).toMatchObject({ code: [{ path: '.' }], datasets: [{ path: 'mix/train.csv' }] });
    expect(generateKitfile(entries, { depth: 2 }).datasets).toStrictEqual([{ path: 'mix/deep/b.csv' }, { path: 'mix/train.csv' }]);
    const each = generateKitfile(entries, { depth: -1 });
    expect(each.code?.map(({ path }) => path)).toStrictEqual(['run.sh', 'mix/deep/c.py', 'mix/empty']);
    expect(each.docs).toStrictEqual([{ path: 'docs/x.md' }]);
    validateKitfile(each, 'Kitfile');
  });

  it('makes one code layer of more than five unclear directories', () => {
    expect(codeOf(5)?.map(({ path }) => path)).toStrictEqual(['src', 'd0', 'd1', 'd2', 'd3', 'd4']);
    expect(codeOf(6)).toStrictEqual([{ path: '.' }]);
  });

  it('takes models out of mixed directories, and looks one level deep', () => {
    const kitfile = generateKitfile(
      context(sized(['mixed/m.onnx', 'mixed/a.md', 'deep/inner/m.onnx', 'meta/a.json', 'data/a.csv', 'data/b.yaml'])),
    );
    expect(kitfile.model).toStrictEqual({ name: 'mixed/m', path: 'mixed/m.onnx' });
    expect(kitfile.code?.map(({ path }) => path)).toStrictEqual(['deep', 'meta', 'mixed']);
    expect(kitfile.datasets).toStrictEqual([{ path: 'data' }]);
  });

  it('sorts by bytes and leaves out what belongs to git and kit', () => {
    const kitfile = generateKitfile(
      context(
        sized(['b.csv', 'B.csv', 'é.csv', 'Kitfile', '.kitignore', '.gitignore', '.git/config', 'data/.gitattributes', 'data/a.csv']),
      ),
    );
    expect(kitfile).toStrictEqual({
      manifestVersion: '1.0.0',
      package: {},
      datasets: [{ path: 'B.csv' }, { path: 'b.csv' }, { path: 'é.csv' }, { path: 'data' }],
    });
  });

  it('sets package fields that are given', () => {
    expect(generateKitfile([], { name: 'n', description: '', author: 'me' }).package).toStrictEqual({ name: 'n', authors: ['me'] });
  });

  it.each<[string, readonly string[], Partial<Kitfile>]>([
    ['the model', ['m.gguf', 'a.csv'], { model: { name: 'm', path: 'm.gguf', license: 'MIT' }, datasets: [{ path: 'a.csv' }] }],
    ['the only dataset', ['a.csv', 'src/a.py'], { datasets: [{ path: 'a.csv', license: 'MIT' }], code: [{ path: 'src' }] }],
    [
      'the only code',
      ['a.csv', 'b.csv', 'x.py'],
      { datasets: [{ path: 'a.csv' }, { path: 'b.csv' }], code: [{ path: '.', license: 'MIT' }] },
    ],
    ['the package', ['a.csv', 'b.csv'], { package: { license: 'MIT' }, datasets: [{ path: 'a.csv' }, { path: 'b.csv' }] }],
  ])('gives the license to %s', (_, paths, expected) => {
    const entries = [
      ...context(sized(paths)),
      { path: 'LICENSE.txt', size: 30, isDirectory: false, text: 'SPDX-License-Identifier: MIT\n' },
    ];
    const docs = [{ path: 'LICENSE.txt', description: 'License file' }];
    expect(generateKitfile(entries)).toStrictEqual({ manifestVersion: '1.0.0', package: {}, ...expected, docs });
  });

  const SKILL = '---\nname: docx\ndescription: Edits documents\nlicense: MIT\n---\n';
  const skill = (path: string, text = SKILL): ContextEntry => ({ path, size: text.length, isDirectory: false, text });
  function withSkills(paths: readonly string[]): ContextEntry[] {
    return context(sized(paths)).map((entry) => (entry.path.endsWith('SKILL.md') ? skill(entry.path) : entry));
  }

  it('takes a directory with a SKILL.md as one prompt, called as the skill is', () => {
    expect(generateKitfile(withSkills(['SKILL.md', 'scripts/run.py', 'model.gguf', 'README.md']))).toStrictEqual({
      manifestVersion: '1.0.0',
      package: { name: 'docx', description: 'Edits documents', license: 'MIT' },
      prompts: [{ path: '.', name: 'docx', description: 'Edits documents' }],
    });
    expect(generateKitfile(withSkills(['SKILL.md']), { name: 'mine', description: 'my own' }).package).toStrictEqual({
      name: 'mine',
      description: 'my own',
      license: 'MIT',
    });
    expect(generateKitfile([skill('SKILL.md', '# nothing about itself')]).prompts).toStrictEqual([{ path: '.' }]);
  });

  it('takes skills in directories as prompts, also where the name says docs or code', () => {
    const kitfile = generateKitfile(withSkills(['docs/SKILL.md', 'src/SKILL.md', 'src/x.py', 'm.gguf']));
    expect(kitfile.prompts?.map(({ path, name }) => [path, name])).toStrictEqual([
      ['docs', 'docx'],
      ['src', 'docx'],
    ]);
    expect([kitfile.code, kitfile.docs, kitfile.package.name]).toStrictEqual([undefined, undefined, undefined]);
    expect(generateKitfile(withSkills(['a/SKILL.md', 'AGENTS.md'])).package.name).toBe('docx');
    expect(generateKitfile(withSkills(['a/SKILL.md', 'b/SKILL.md'])).package).toStrictEqual({ license: 'MIT' });
    expect(generateKitfile(withSkills(['a/b/SKILL.md']), { depth: 1 }).prompts).toHaveLength(1);
  });

  it('knows prompts by their names', () => {
    const kitfile = generateKitfile(
      context(sized(['AGENTS.md', 'claude.md', 'chat.prompt.yaml', 'p/a.prompt', 'p/b.PROMPT.md', 'notes.md'])),
    );
    expect(kitfile.prompts?.map(({ path }) => path)).toStrictEqual(['AGENTS.md', 'chat.prompt.yaml', 'claude.md', 'p']);
    expect(kitfile.docs).toStrictEqual([{ path: 'notes.md' }]);
    expect(kitfile.datasets).toBeUndefined();
  });
});
