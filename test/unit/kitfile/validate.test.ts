import { describe, expect, it } from 'vitest';

import { isKitError } from '../../../src/errors.ts';
import { cleanLayerPath, isModelKitReference } from '../../../src/kitfile/layer-path.ts';
import { parseKitfile } from '../../../src/kitfile/parse.ts';
import { kitfileWarnings, validateKitfile } from '../../../src/kitfile/validate.ts';

/** The problems of a Kitfile, without the first line and the bullets; empty when it is valid. */
function problems(text: string): string[] {
  const { kitfile, locate } = parseKitfile(text, 'Kitfile');
  try {
    validateKitfile(kitfile, 'Kitfile', locate);
    return [];
  } catch (error) {
    if (!isKitError(error, 'KITFILE_INVALID')) throw error;
    const [head, ...lines] = error.message.split('\n');
    if (head !== 'errors while validating Kitfile Kitfile:') throw error;
    return lines.map((line) => line.replace(/^ {2}\* /, ''));
  }
}

function dataset(fields: string): string[] {
  return problems(`datasets: [{name: d, ${fields}}]`).map((line) => line.replace(/^Kitfile:\d+:\d+: /, ''));
}

function warnings(manifestVersion: string): string[] {
  return kitfileWarnings({ manifestVersion, package: {} });
}

describe('validateKitfile', () => {
  it('compares cleaned paths', () => {
    expect(problems('model: {name: m, path: m.bin}\ndatasets: [{name: d, path: ./m.bin}]\ndocs: [{path: a/../m.bin}]')).toStrictEqual([
      'Kitfile:3:15: model `m`, dataset `d` (`./m.bin`) and docs layer 0 (`a/../m.bin`) use the same path `m.bin`',
    ]);
    expect(problems('code: [{path: src}]\nprompts: [{path: src/}]')).toStrictEqual([
      'Kitfile:2:18: code layer 0 and prompt 0 (`src/`) use the same path `src`',
    ]);
  });

  it('takes an entry without a path for the whole context', () => {
    expect(problems('code: [{description: a}, {path: .}]')).toStrictEqual([
      'Kitfile:1:33: code layer 0 (``) and code layer 1 use the same path `.`',
    ]);
    expect(problems('code: [{description: a}]')).toStrictEqual([]);
  });

  it('does not count what is no layer: a model without a path or of another ModelKit, a remote dataset', () => {
    expect(problems('model: {name: m}\ncode: [{path: .}]')).toStrictEqual([]);
    expect(problems('model: {path: "base:v1"}\ncode: [{path: "base:v1"}]')).toStrictEqual([]);
    expect(problems('datasets: [{remotePath: "s3://b/k", remoteHash: x}]\ncode: [{path: .}]')).toStrictEqual([]);
  });

  it.each([
    ['/abs', 'absolute paths are not supported in a Kitfile'],
    ['../x', 'paths must stay within the context directory'],
    ['..', 'paths must stay within the context directory'],
    ['a/../../x', 'paths must stay within the context directory'],
    ['https://example.com/x.csv', 'URLs are not supported in paths'],
    ['s3://bucket/key', 'URLs are not supported in paths'],
    ['a\\0b', 'paths must not hold a NUL character'],
  ])('refuses the path %s', (path, message) => {
    const shown = path.replace('\\0', '\\u0000');
    expect(problems(`code: [{path: "${path}"}]`)).toStrictEqual([`Kitfile:1:15: ${message} (path \`${shown}\` in code layer 0)`]);
  });

  it.each(['a..b', '..a/b', 'a/..', 'a\\\\..\\\\..\\\\b', './', 'C:x y', 'über/模型'])('accepts the path %s', (path) => {
    expect(problems(`code: [{path: "${path}"}]`)).toStrictEqual([]);
  });

  it('checks the type of parts', () => {
    const long = 'x'.repeat(65);
    expect(
      problems(
        `model:\n  path: m\n  parts:\n    - {name: p, path: a, type: "lora adapter"}\n    - {path: b, type: ${long}}\n    - {path: c, type: ${long.slice(1)}.}`,
      ),
    ).toStrictEqual([
      'Kitfile:4:32: modelpart `p` has invalid type (must be alphanumeric with dots, dashes, and underscores)',
      'Kitfile:5:23: modelpart 1 type is too long (must be fewer than 64 characters)',
      'Kitfile:6:23: modelpart 2 type is too long (must be fewer than 64 characters)',
    ]);
    expect(problems('model: {path: m, parts: [{path: a, type: gguf-f32_v1.0}, {path: b, type: ""}]}')).toStrictEqual([]);
  });

  it('checks remote datasets', () => {
    expect(dataset('remotePath: "s3://bucket/key", remoteHash: x')).toStrictEqual([]);
    expect(dataset('remotePath: "registry.example.com/data:v1", remoteHash: x')).toStrictEqual([]);
    for (const place of [
      's3://bucket/prefix/',
      'hf://datasets/org/name@v1/data',
      'https://example.com/a.csv',
      'git+https://example.com/r.git@v1#a',
    ])
      expect(dataset(`remotePath: "${place}"`)).toStrictEqual([]);
    const forms = 's3://BUCKET/KEY, hf://[datasets/]ORG/NAME, https://..., git+https://...#PATH or the reference of a ModelKit';
    for (const place of ['s3://bucket', 'ftp://example.com/a', 'file:///etc/passwd', '/etc/passwd', 'git+ssh://git@example.com/r'])
      expect(dataset(`remotePath: "${place}"`)).toStrictEqual([`a remotePath is ${forms} (\`${place}\` in dataset \`d\`)`]);
    expect(dataset('remotePath: "https://me:secret@example.com/a"')).toStrictEqual([
      'a remotePath must not hold credentials (`example.com` in dataset `d`)',
    ]);
    expect(dataset('path: a, remoteHash: x')).toStrictEqual(['remote hash is only applicable when remotePath is set (dataset `d`)']);
    expect(dataset('path: /a, remotePath: "s3://bucket/key", remoteHash: x')).toHaveLength(1);
  });

  it('checks a model that stays elsewhere', () => {
    expect(problems('model: {path: a, remotePath: "hf://org/name/a"}')).toStrictEqual([]);
    expect(problems('model: {path: "base:v1", remotePath: "hf://org/name/a"}')).toHaveLength(1);
    expect(problems('model: {path: a, remotePath: "reg.example.com/base:v1"}')).toHaveLength(1);
    expect(problems('model: {path: a, remoteHash: x}')).toHaveLength(1);
    expect(() => problems('model: {path: a, remotePath: "hf://a/b", remoteFiles: []}')).toThrow('unknown field `remoteFiles`');
  });

  it('lists everything, by line, or by text without positions', () => {
    const text = 'docs: [{path: /z}]\ncode: [{path: /a}]';
    expect(problems(text).map((line) => line.slice(0, 14))).toStrictEqual(['Kitfile:1:15: ', 'Kitfile:2:15: ']);
    const { kitfile } = parseKitfile(text, 'Kitfile');
    expect(() => {
      validateKitfile(kitfile, 'Kitfile');
    }).toThrow(
      [
        'errors while validating Kitfile Kitfile:',
        '  * absolute paths are not supported in a Kitfile (path `/a` in code layer 0)',
        '  * absolute paths are not supported in a Kitfile (path `/z` in docs layer 0)',
      ].join('\n'),
    );
  });
});

describe('kitfileWarnings', () => {
  it.each(['1.0.0', 'v1.0.0', '1.0', 'v1.0'])('knows version %s', (version) => {
    expect(warnings(version)).toStrictEqual([]);
  });

  it('warns of others', () => {
    expect(warnings('9.9')).toStrictEqual(['unrecognized manifestVersion `9.9`: treating the Kitfile as 1.0.0']);
    expect(warnings('')).toStrictEqual(['the Kitfile has no manifestVersion: treating it as 1.0.0']);
  });
});

describe('paths', () => {
  it.each([
    [undefined, '.'],
    ['', '.'],
    ['./', '.'],
    ['./a//b/', 'a/b'],
    ['a/./../b', 'b'],
    ['../a', '../a'],
    ['/', '/'],
    ['a\\b\\', 'a\\b\\'],
  ])('cleans %j', (path, cleaned) => {
    expect(cleanLayerPath(path)).toBe(cleaned);
  });

  it.each([
    ['base:v1', true],
    ['registry.example.com:5000/org/base@sha256:' + 'a'.repeat(64), true],
    ['org/base', false],
    ['weights/Model:v1', false],
    ['https://example.com/a:b', false],
    ['a b:c', false],
  ])('%s names a ModelKit: %s', (path, expected) => {
    expect(isModelKitReference(path)).toBe(expected);
  });
});
