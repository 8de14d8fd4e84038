import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fulfils } from '../../../src/catalog/evaluate.ts';
import { parseField, parseFlagField, valuesAt } from '../../../src/catalog/field-path.ts';
import { parseExpression } from '../../../src/catalog/parse-expression.ts';
import { openQuestion } from '../../../src/catalog/question.ts';
import { isKitError } from '../../../src/errors.ts';
import type { JsonValue } from '../../../src/oci/json.ts';

const MODEL: JsonValue = {
  reference: 'reg.example/team/m:v1',
  tags: ['prod', 'v1'],
  size: 5_000_000_000,
  package: { name: 'm', authors: ['ann'] },
  model: {
    name: 'llama-3-8b',
    license: 'MIT',
    parameters: { accuracy: 0.97, big: 9_007_199_254_740_993n, tuned: false, none: null, nested: { a: 1 } },
  },
  datasets: [{ name: 'one', path: 'a' }, { name: 'two' }],
  annotations: { 'org.opencontainers.image.title': 'M', run: '17' },
};

const holds = (text: string): boolean => fulfils(MODEL, parseExpression(text).expression);

describe('the comparison language', () => {
  test.each([
    'model.parameters.accuracy > 0.95',
    'model.parameters.accuracy >= .97 && model.parameters.accuracy <= 9.7e-1',
    '0.95 < model.parameters.accuracy',
    'model.license == "MIT" || model.license == \'GPL-3.0\'',
    '!(model.license == "GPL-3.0")',
    'model.license != "GPL-3.0"',
    'model.name =~ "^llama-\\d"',
    'model.name =~ "(?i)LLAMA"',
    'model.name !~ "mistral"',
    'model.license in ["Apache-2.0", "MIT"]',
    '"prod" in tags',
    '"accuracy" in model.parameters',
    'datasets[*].name == "two"',
    'datasets[1].name == "two"',
    'model.parameters.nested',
    '!model.parameters.tuned && !model.parameters.none && !model.parameters.nothing',
    'model.parameters.tuned == false',
    'model.parameters.nothing == null',
    // a text that is a number compares with numbers
    'annotations.run > 9',
    'annotations.org.opencontainers.image.title == "M"',
    'annotations["org.opencontainers.image.title"] == "M"',
    'size < 10GB && size > 4GiB',
    // beyond the digits of a double
    'model.parameters.big == 9007199254740993',
    'model.parameters.big > 9007199254740992',
    'model.name == package.name || package.name == "m"',
    'true',
    'true && (model || package)',
  ])('%s', (text) => {
    expect(holds(text)).toBe(true);
  });

  test.each([
    'model.parameters.accuracy > 0.97',
    'model.parameters.accuracy > "0.95x"',
    'model.parameters.nothing > 0',
    'model.parameters.nothing',
    'model.license > 3',
    'tags == "prod"',
    'model.name =~ "^8b"',
    '"dev" in tags',
    'false',
    'model.parameters.big == 9007199254740992',
    'datasets[2].name == "two"',
  ])('not: %s', (text) => {
    expect(holds(text)).toBe(false);
  });

  test('&& binds closer than ||, and ! closest', () => {
    expect(holds('true || false && false')).toBe(true);
    expect(holds('(true || false) && false')).toBe(false);
    expect(holds('!false && false')).toBe(false);
  });
});

describe('what is wrong is pointed at', () => {
  test.each([
    ['modl.name == "x"', 1, 'did you mean model?'],
    ['model.nam == "x"', 7, 'did you mean model.name?'],
    ['model.accuracy > 1', 7, 'did you mean model.parameters.accuracy?'],
    ['size > 1 && modl', 13, 'did you mean model?'],
    ['datasets.name == "x"', 10, 'datasets[*].name'],
    ['model.name = "x"', 12, '=='],
    ['model.name == "x" and true', 19, '&&'],
    ['(true', 6, ''],
    ['model.name ==', 14, ''],
    ['model.name == "x', 15, ''],
    ['model.name =~ "("', 15, ''],
    ['"a" in "b"', 8, ''],
    ['model.name.first == "x"', 12, ''],
    ['3', 2, ''],
  ])('%s', (text, character, hint) => {
    const error = thrown(() => parseExpression(text));
    expect(isKitError(error, 'QUERY_INVALID')).toBe(true);
    expect(error).toMatchObject({
      message: expect.stringContaining(`character ${character}:`) as string,
      hint: expect.stringContaining(hint) as string,
    });
  });

  test('size and depth are bounded', () => {
    for (const text of [
      `${'('.repeat(2000)}true`,
      '!'.repeat(3000),
      `model.name == "${'x'.repeat(5000)}"`,
      `model.name =~ "${'x'.repeat(2000)}"`,
    ])
      expect(
        isKitError(
          thrown(() => parseExpression(text)),
          'QUERY_INVALID',
        ),
      ).toBe(true);
  });

  test('no text does anything but parse or be refused', () => {
    const part = fc.constantFrom(
      'model',
      '.',
      'name',
      '[',
      ']',
      '*',
      '"a"',
      "'",
      '==',
      '=~',
      'in',
      '(',
      ')',
      '!',
      '&&',
      '||',
      '1',
      '-',
      '$',
      ' ',
      '\\',
      '7GB',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const error = thrown(() => parseExpression(parts.join('')));
        expect(error === undefined || isKitError(error, 'QUERY_INVALID')).toBe(true);
      }),
    );
  });
});

test('names of a prototype are no fields', () => {
  for (const name of ['constructor', '__proto__', 'toString']) {
    expect(
      isKitError(
        thrown(() => parseField(name)),
        'QUERY_INVALID',
      ),
    ).toBe(true);
    expect(valuesAt(MODEL, parseField(`model.parameters.${name}`).steps)).toEqual([]);
  }
});

describe('JSONPath', () => {
  test('a document fulfils it when it selects something', async () => {
    const documents = [{ model: { parameters: { accuracy: 0.9 } } }, { model: { parameters: { accuracy: 0.99 } } }, {}].map((one) =>
      JSON.stringify(one),
    );
    expect((await openQuestion('$.model.parameters[?@ > 0.95]')).select(documents)).toEqual([1]);
    expect((await openQuestion(' $.model')).select(documents)).toEqual([0, 1]);
  });

  test('a wrong one is refused with the place', async () => {
    await expect(openQuestion('$.model[')).rejects.toMatchObject({
      code: 'QUERY_INVALID',
      message: expect.stringContaining('character 9') as string,
    });
  });
});

describe('what is wrong with a flag', () => {
  test.each([
    ['--sort', 'a..b', '--sort, character 3: a name has to follow the point'],
    ['--columns', 'x[', '--columns, character 3: a place or a name has to follow `[`'],
    ['--columns', '', '--columns, character 1: a field has to stand here'],
    ['--format', 'lisense', '--format, character 1: there is no field `lisense`'],
    ['--sort', 'a'.repeat(100_000), '--sort has 100000 characters'],
  ])('%s %s', (flag, text, message) => {
    expect(thrown(() => parseFlagField(text, flag))).toMatchObject({
      code: 'QUERY_INVALID',
      message: expect.stringContaining(message) as string,
      hint: expect.any(String) as string,
    });
  });

  test.each(['', '  '])('an empty expression %j', (text) => {
    expect(thrown(() => parseExpression(text))).toMatchObject({ code: 'QUERY_INVALID', message: 'the expression is empty' });
  });
});

function thrown(work: () => unknown): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error;
  }
}
