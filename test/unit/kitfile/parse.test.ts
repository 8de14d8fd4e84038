import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { isKitError, type KitError } from '../../../src/errors.ts';
import { kitfileFields } from '../../../src/kitfile/fields.ts';
import { MAX_KITFILE_SIZE, parseKitfile } from '../../../src/kitfile/parse.ts';
import { stringifyLikeGo } from '../../../src/oci/json.ts';
import { refused, scalarCases } from './scalar-cases.ts';

const golden = readFileSync(new URL('../../../fixtures/golden/input/Kitfile', import.meta.url), 'utf8');

function refusal(text: string): KitError {
  try {
    parseKitfile(text, 'Kitfile');
  } catch (error) {
    if (isKitError(error, 'KITFILE_INVALID')) return error;
    throw error;
  }
  throw new Error(`accepted: ${text.slice(0, 200)}`);
}

/** The value of the first field of `model` or `package`, as JSON. */
function json(text: string): string | typeof refused {
  try {
    const { model, package: details } = kitfileFields(parseKitfile(text, 'Kitfile').kitfile);
    if (model !== undefined) return stringifyLikeGo((model as Record<string, unknown>)['parameters']);
    return stringifyLikeGo((details as Record<string, unknown>)['name'] ?? '');
  } catch (error) {
    if (isKitError(error, 'KITFILE_INVALID')) return refused;
    throw error;
  }
}

function under(field: string, yaml: string): string {
  return `${field} ${yaml.replaceAll('\n', '\n  ')}\n`;
}

describe('scalars, as KitOps reads them', () => {
  it.each(scalarCases.map(([yaml, parameters]) => [yaml, parameters] as const))('parameters: %j', (yaml, parameters) => {
    expect(json(under('model:\n  parameters:', yaml))).toBe(parameters);
  });

  it.each(scalarCases.map(([yaml, , text]) => [yaml, text] as const))('name: %j', (yaml, text) => {
    expect(json(under('package:\n  name:', yaml))).toBe(text);
  });

  it('keeps integers beyond 2^53 exact, as bigints', () => {
    const { kitfile } = parseKitfile('model: {parameters: [9007199254740993, 9007199254740991, 18446744073709551616]}', 'Kitfile');
    expect(kitfile.model?.parameters).toStrictEqual([9007199254740993n, 9007199254740991, 18446744073709552000]);
  });

  it('refuses bytes that JSON cannot carry', () => {
    expect(refusal('model: {parameters: {a: !!binary /w==}}').message).toContain('Kitfile:1:34: !!binary holds bytes that are no UTF-8');
  });
});

describe('structure', () => {
  it('reads the golden Kitfile', () => {
    const { kitfile } = parseKitfile(golden, 'Kitfile');
    expect(kitfile.package).toStrictEqual({
      name: 'tiny-golden',
      version: '1.10',
      description: 'Tiny <golden> & small — naïve 模型 🚀 line\u2028sep \'quote\' "dq" back\\slash',
      license: 'Apache-2.0',
      authors: ['Alice Example', "Böb O'Neil"],
    });
    expect(kitfile.model?.parts).toHaveLength(3);
    expect(kitfile.docs?.map(({ path }) => path)).toStrictEqual(['README.md', 'LICENSE', './docs']);
  });

  it('leaves absent and null fields out', () => {
    const { kitfile } = parseKitfile('package: ~\nmodel:\n  name:\n  path: x\ncode:\ndocs: [{description: d}]', 'Kitfile');
    expect(kitfile).toStrictEqual({ manifestVersion: '', package: {}, model: { path: 'x' }, docs: [{ path: '', description: 'd' }] });
  });

  it('accepts a byte order mark, CRLF, a document start and an empty document after it', () => {
    for (const text of [
      '\uFEFFmanifestVersion: 1.0.0\n',
      'manifestVersion: 1.0.0\r\npackage:\r\n  name: a\r\n',
      '# c\n---\nmanifestVersion: 1.0.0\n---\n',
    ]) {
      expect(parseKitfile(text, 'Kitfile').kitfile.manifestVersion).toBe('1.0.0');
    }
  });

  it('merges and aliases in fields of the schema', () => {
    const text = 'code:\n  - &base {path: a, license: MIT}\n  - {<<: *base, path: b}\ndocs:\n  - {path: &p README.md}\n  - {path: *p}';
    const { kitfile } = parseKitfile(text, 'Kitfile');
    expect(kitfile.code).toStrictEqual([
      { path: 'a', license: 'MIT' },
      { path: 'b', license: 'MIT' },
    ]);
    expect(kitfile.docs).toStrictEqual([{ path: 'README.md' }, { path: 'README.md' }]);
  });

  it('treats __proto__ as any other key', () => {
    const { kitfile } = parseKitfile('model: {parameters: {__proto__: {a: 1}, constructor: 2}}', 'Kitfile');
    expect(Object.keys(kitfile.model?.parameters as object)).toStrictEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>)['a']).toBeUndefined();
    expect(refusal('__proto__: {name: x}').message).toContain('Kitfile:1:1: unknown field `__proto__`');
  });

  it('locates what it read', () => {
    const { locate } = parseKitfile(golden, 'Kitfile');
    expect(locate(['model', 'parts', 1, 'path'])).toStrictEqual({ line: 25, column: 13 });
    expect(locate(['docs', 2])).toStrictEqual({ line: 83, column: 5 });
    expect(locate(['docs', 2, 'license'])).toStrictEqual({ line: 83, column: 5 });
    expect(locate(['prompts'])).toStrictEqual({ line: 1, column: 1 });
    expect(parseKitfile('package: {name: 模🚀, version: 2}', 'Kitfile').locate(['package', 'version'])).toStrictEqual({
      line: 1,
      column: 30,
    });
  });
});

describe('refusals', () => {
  it('shows the place, the line and a caret', () => {
    expect(refusal('package:\n  name: x\ndataset:\n  - a\n').message).toBe(
      ['Kitfile:3:1: unknown field `dataset`', '  3 | dataset:', '    | ^'].join('\n'),
    );
  });

  it('names the nearest field and all that are allowed', () => {
    expect(refusal('model: {parts: [{nmae: x}]}').hint).toBe('did you mean `name`? allowed here: name, path, license, type');
    expect(refusal('docs: [{licence: x}]').hint).toBe('allowed here: path, description');
    expect(refusal('dataset: []').hint).toContain('did you mean `datasets`? allowed here: manifestVersion, package, model,');
    expect(refusal('code: [{digest: x}]').hint).toBe('allowed here: path, description, license');
  });

  it('reports every problem, in the order of the text', () => {
    const text = 'package:\n  authors: [a, ~, {b: 1}]\nmodel: x\ncode: {}\ndocs:\n  -\nfoo: 1\n';
    expect(refusal(text).message.match(/^Kitfile:.*$/gm)).toStrictEqual([
      'Kitfile:2:16: `package.authors[1]` must be text, found nothing',
      'Kitfile:2:19: `package.authors[2]` must be text, found a map',
      'Kitfile:3:8: `model` must be a map, found the text `x`',
      'Kitfile:4:7: `code` must be a list, found a map',
      'Kitfile:6:3: `docs[0]` must be a map, found nothing',
      'Kitfile:7:1: unknown field `foo`',
    ]);
  });

  it('stops the list after ten', () => {
    const text = Array.from({ length: 15 }, (_, index) => `f${index}: 1`).join('\n');
    expect(refusal(text).message.split('\n').at(-1)).toBe('and 5 more');
  });

  it.each([
    ['a: [', '1:5: not valid YAML: unexpected end of the stream within a flow collection'],
    ['model:\n\tname: x', '2:1: not valid YAML: tab characters must not be used in indentation'],
    ['model:\n  name: "x', '2:11: not valid YAML: unexpected end of the stream within a double quoted scalar'],
    ['package:\n  name: a\n  name: b', '3:3: duplicate key `name`, already given in line 2'],
    ['model: {parameters: {a: {b: 1, "b": 2}}}', '1:32: duplicate key `b`, already given in line 1'],
    ['model: {parameters: {1: a}}', '1:22: a key must be text, found `1`'],
    ['model: {parameters: {[a]: a}}', '1:22: a key must be text, found a list'],
    ['model: {parameters: [.nan]}', '1:22: `.nan` has no JSON form'],
    ['datasets: [{parameters: -.inf}]', '1:25: `-.inf` has no JSON form'],
    ['model: {parameters: !!int x}', '1:27: `x` is not a value of the type !!int'],
    ['model: {parameters: 2026-01-02T00:00:00+24:00}', '1:21: `2026-01-02T00:00:00+24:00` has no RFC 3339 form'],
    ['- a', '1:1: a Kitfile must be a map, found a list'],
    ['text', '1:1: a Kitfile must be a map, found the text `text`'],
    ['a: 1\n---\nb: 2', '3:1: a second YAML document'],
    ['model: &m\n  parameters: *m', '2:15: anchor `&m` contains itself'],
    ['model: *m', '1:8: no anchor `&m` before this alias'],
    ['model: {<<: 5}', '1:13: `<<` merges a map or a list of maps'],
    ['package: {name: "\\uD800"}', '1:17: an escape that is not a Unicode character'],
  ])('%j', (text, message) => {
    expect(refusal(text).message.split('\n')[0]).toBe(`Kitfile:${message}`);
  });

  it.each(['', '\n', '# only a comment\n', '---\n', '\uFEFF'])('refuses an empty file: %j', (text) => {
    expect(refusal(text)).toMatchObject({ message: 'Kitfile is empty' });
  });

  it('shows no control characters, and only the part of a long line around the place', () => {
    const { message } = refusal(`${'x'.repeat(300)} "\u001B[31m\u202E`);
    expect(message).not.toContain('\u001B');
    expect(message).not.toContain('\u202E');
    expect(Math.max(...message.split('\n').map((line) => line.length))).toBeLessThan(120);
    expect(refusal('"\\e[31m\\u202e": 1').message).toContain('unknown field `\\u001b[31m\\u202e`\n');
  });
});

describe('limits', () => {
  it('refuses more than 1 MiB, counted in bytes', () => {
    const fits = `manifestVersion: 1.0.0\n#${'é'.repeat(MAX_KITFILE_SIZE / 2 - 12)}`;
    expect(parseKitfile(fits, 'Kitfile').kitfile.manifestVersion).toBe('1.0.0');
    expect(refusal(`${fits}é`).message).toBe('Kitfile is larger than 1 MiB');
  });

  it('refuses deep nesting, written or stacked by aliases', () => {
    expect(refusal(`model: {parameters: ${'['.repeat(200)}${']'.repeat(200)}}`).message).toContain('nesting exceeded');
    const steps = Array.from(
      { length: 20 },
      (_, index) => `a${index}: &a${index} ${'['.repeat(10)}${index === 0 ? '1' : `*a${index - 1}`}${']'.repeat(10)}`,
    );
    expect(refusal(`model: {parameters: {${steps.join(', ')}}}`).message).toContain('nested deeper than 100 levels');
  });

  it('refuses what aliases blow up', () => {
    const steps = Array.from(
      { length: 12 },
      (_, index) => `    a${index}: &a${index} [${`${index === 0 ? 'lol' : `*a${index - 1}`}, `.repeat(9)}]`,
    );
    expect(refusal(`model:\n  parameters:\n${steps.join('\n')}\n`).message).toContain('the aliases of this file expand to too much');
    const long = `model:\n  parameters:\n    text: &t "${'x'.repeat(500_000)}"\n    all: [${'*t, '.repeat(100)}]\n`;
    expect(refusal(long).message).toContain('expand to too much');
    const merges = `model:\n  parameters:\n    base: &b {${Array.from({ length: 2000 }, (_, index) => `k${index}: 1`).join(', ')}}\n    all: [${'{<<: *b}, '.repeat(2000)}]\n`;
    expect(refusal(merges).message).toContain('expand to too much');
  });

  it('lets a file of ordinary size use aliases freely', () => {
    const text = `model:\n  parameters:\n    text: &t ${'x'.repeat(1000)}\n    all: [${'*t, '.repeat(1000)}]\n`;
    expect(parseKitfile(text, 'Kitfile').kitfile.model?.parameters).toHaveProperty('all.length', 1000);
  });
});
