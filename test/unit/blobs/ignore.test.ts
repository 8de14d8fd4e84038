import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseIgnore, readIgnoreFile } from '../../../src/blobs/ignore.ts';
import { temporaryDirectory } from './workspace.ts';

/** Rules, paths that they ignore, paths that they keep: the answers of moby/patternmatcher 0.6.0 (MatchesOrParentMatches). */
const CASES: readonly (readonly [rules: string, ignored: readonly string[], kept: readonly string[]])[] = [
  ['*.tmp', ['a.tmp', '.tmp', 'a.tmp/below'], ['d/a.tmp', 'a.tmpx']],
  ['**/*.tmp', ['a.tmp', 'd/a.tmp', 'd/e/a.tmp'], ['a.tm']],
  ['**.tmp', ['a.tmp', 'd/a.tmp'], ['a.tmpx']],
  ['**tmp', ['xtmp', 'd/xtmp', 'tmp'], ['tmpx']],
  ['**', ['a', 'a/b'], []],
  ['a/**', ['a/b', 'a/b/c'], ['a', 'ab']],
  ['a**', ['a', 'ab', 'a/b', 'ab/c'], ['b/a']],
  ['a/**/z', ['a/z', 'a/b/z', 'a/b/c/z', 'a/z/below'], ['z', 'a', 'a/zz']],
  ['**/a/b', ['a/b', 'x/a/b', 'x/y/a/b/c'], ['b', 'x/b']],
  ['a', ['a', 'a/b', 'a/b/c'], ['b/a', 'ab']],
  ['a/', ['a', 'a/b'], ['ab']],
  ['/a', ['a', 'a/b'], ['b/a']],
  ['./a/../b', ['b', 'b/c'], ['a']],
  ['a?c', ['abc', 'a.c', 'aéc', 'a🤖c'], ['ac', 'a/c', 'abbc']],
  ['[a-c]x', ['ax', 'cx', 'ax/y'], ['dx', 'x', '-x']],
  ['[^a-c]x', ['dx', '-x'], ['ax', 'x']],
  [String.raw`[a\-z]x`, ['ax', '-x', 'zx'], ['bx', '\\x']],
  [String.raw`[\]]x`, [']x'], ['x', '\\x']],
  [String.raw`\*`, ['*', '*/a'], ['a', '\\*']],
  [String.raw`\?x`, ['?x'], ['ax']],
  [String.raw`\#a`, ['#a'], ['a']],
  [String.raw`\!a`, ['!a'], ['a']],
  ['c++', ['c++', 'c++/a'], ['c', 'cc', 'ccc']],
  ['*c++', ['c++', 'xc++'], ['xcc']],
  ['$x.y', ['$x.y'], ['$xay', 'xay']],
  ['(a)*', ['(a)', '(a)b'], ['a', 'ab']],
  ['x.y', ['x.y'], ['xay']],
  ['{a}', ['{a}'], ['a']],
  ['^a', ['^a'], ['a']],
  ['a b', ['a b', 'a b/c'], ['a', 'b']],
  ['a  ', ['a'], ['a  ']],
  ['  a', ['a'], ['  a']],
  ['# a comment\n\n  \na', ['a'], ['# a comment']],
  [' #a', ['#a'], ['a']],
  ['\uFEFFa', ['a'], []],
  ['a\r\nb\r\n', ['a', 'b'], []],
  ['é*', ['é', 'éx'], ['e']],
  ['constructor\n__proto__', ['constructor', '__proto__', 'constructor/a'], ['toString', 'a/constructor']],
  ['toString*', ['toString', 'toStringX'], ['constructor', '__proto__', 'hasOwnProperty']],
  ['*\n!a', ['b', 'b/c'], ['a', 'a/b']],
  ['*.md\n!README.md', ['a.md'], ['README.md', 'd/a.md']],
  ['*.md\n!README*.md\nREADME-x.md', ['a.md', 'README-x.md'], ['README.md', 'README-y.md']],
  ['!README.md\n*.md', ['README.md'], []],
  ['d\n!d/keep', ['d', 'd/a', 'd/keepx'], ['d/keep', 'd/keep/b']],
  ['d/*\n!d/keep/b.txt', ['d/a', 'd/keep', 'd/keep/c.txt'], ['d', 'd/keep/b.txt']],
  ['**/*.tmp\n!src/keep.tmp', ['src/a.tmp', 'x/keep.tmp'], ['src/keep.tmp']],
  ['a\n! a', [], ['a']],
  ['a\n!/a', [], ['a']],
  ['!a\n!!b', [], ['a', 'b', '!b']],
  ['*\n/!a', ['b', '!a'], ['a']],
];

describe('the rules of a .kitignore', () => {
  test.each(CASES)('%j', (rules, ignored, kept) => {
    const parsed = parseIgnore(rules);
    const ignores = (path: string): boolean => parsed.ignores(path);
    expect({ ignored: ignored.filter(ignores), kept: kept.filter(ignores) }).toEqual({ ignored, kept: [] });
  });

  test.each(['!', '! ', 'a\n!/', '[', '[a', '[]', '[]a]', '[^]', '[a-]', '[-a]', 'a\\', '[a\\'])(
    '%j is refused, with its line',
    (rules) => {
      const line = rules.split('\n').length;
      expect(() => parseIgnore(`ok\n${rules}`, [], 'dir/.kitignore')).toThrow(
        expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(`dir/.kitignore:${line + 1}: `) as unknown }),
      );
    },
  );

  test('what always holds cannot be undone', () => {
    const rules = parseIgnore('!Kitfile', ['Kitfile']);
    expect(rules.ignores('Kitfile')).toBe(true);
    expect(rules.ignores('sub/Kitfile')).toBe(false);
  });

  test('exceptions are told', () => {
    expect(parseIgnore('a\nb').hasExceptions).toBe(false);
    expect(parseIgnore('a\n!b').hasExceptions).toBe(true);
    expect(parseIgnore('#!a').hasExceptions).toBe(false);
  });
});

describe('the file', () => {
  test('may be missing', async () => {
    expect((await readIgnoreFile(temporaryDirectory(), ['x'])).ignores('x')).toBe(true);
  });

  test('is read from the directory', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, '.kitignore'), '*.log\n');
    expect((await readIgnoreFile(directory)).ignores('a.log')).toBe(true);
  });

  test('is named when it cannot be read', async () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, '.kitignore'));
    await expect(readIgnoreFile(directory)).rejects.toMatchObject({
      code: 'PATH_UNREADABLE',
      message: expect.stringContaining('.kitignore') as unknown,
    });
  });
});
