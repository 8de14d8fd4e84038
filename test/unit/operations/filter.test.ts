import { describe, expect, test } from 'vitest';
import { parseFilter, PathSelection } from '../../../src/operations/artifact/filter.ts';
import { matchesPath, mayMatchBelow } from '../../../src/operations/artifact/path-pattern.ts';

describe('a pattern', () => {
  test.each([
    ['config.json', 'config.json', true],
    ['config.json', 'a/b/config.json', true],
    ['./config.json', 'config.json', true],
    ['/config.json', 'config.json', true],
    ['./config.json', 'a/config.json', false],
    ['tokenizer*', 'w/tokenizer.json', true],
    ['tokenizer*', 'w/tokenizer/x', false],
    ['*.json', 'a/b.json', true],
    ['./*.json', 'a/b.json', false],
    ['a/*.json', 'a/b.json', true],
    ['a/*.json', 'x/a/b.json', false],
    ['**/b.json', 'x/a/b.json', true],
    ['a/**', 'a/b/c', true],
    ['a', 'a/b/c', true],
    ['a/', 'a/b/c', true],
    ['a/', 'a', true],
    ['a/b', 'a/b/c', true],
    ['a/b', 'a/bc', false],
    ['a?', 'ab', true],
    ['[ab].bin', 'x/b.bin', true],
    ['a//b/./c', 'a/b/c', true],
    ['A', 'a', false],
    ['.', 'a/b', true],
    // a name with the characters of a glob is still a name
    ['w[1].bin', 'w[1].bin', true],
  ])('%s and the path %s: %s', (pattern, path, expected) => {
    expect(matchesPath(pattern, path)).toBe(expected);
  });

  test.each([
    ['tokenizer*', 'docs', true],
    ['docs/README.md', 'docs', true],
    ['docs/README.md', 'docs/README.md', true],
    ['docs/README.md', 'weights', false],
    ['docs/', 'docs/README.md', true],
    ['d*/README.md', 'weights', true],
    ['weights/*.bin', './weights/', true],
    ['weights/*.bin', 'weights2', false],
    ['weights/a/*.bin', 'weights/b', false],
    ['**/x', 'weights', true],
    ['./x', '.', true],
    ['a/b', '.', true],
  ])('%s may match below %s: %s', (pattern, layer, expected) => {
    expect(mayMatchBelow(pattern, layer)).toBe(expected);
  });

  test.each([
    ['docs/README.md', 'docs/README.md'],
    ['d/*.md', 'd/x.md'],
    ['**/y', 'a/b/y'],
  ])('what %s matches (%s) is never in a layer that was left out', (pattern, path) => {
    expect(matchesPath(pattern, path)).toBe(true);
    for (let folder = path; folder !== ''; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/'))))
      expect(mayMatchBelow(pattern, folder)).toBe(true);
  });
});

describe('a path filter', () => {
  test('stands alone and names something', () => {
    expect(parseFilter('path:a,b*')).toEqual({ types: ['path'], patterns: ['a', 'b*'], text: 'path:a,b*' });
    for (const text of ['path', 'path,model:a', 'model,path:a'])
      expect(() => parseFilter(text)).toThrow(expect.objectContaining({ code: 'FILTER_INVALID' }));
    expect(() => parseFilter('path:')).toThrow(expect.objectContaining({ code: 'FILTER_INVALID' }));
  });

  test('knows which filter found nothing', () => {
    const paths = new PathSelection(['model', 'path:a,b', 'path:c'].map(parseFilter));
    expect([paths.wants('a'), paths.wants('x/c'), paths.wants('d')]).toEqual([true, true, false]);
    paths.see('b');
    paths.see('model');
    expect(() => paths.requireFound('m:v1')).toThrow(
      expect.objectContaining({ code: 'FILTER_UNMATCHED', message: expect.stringContaining('path:c') as string }),
    );
    paths.see('c');
    paths.requireFound('m:v1');
  });
});
