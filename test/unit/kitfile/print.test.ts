import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { kitfileFields } from '../../../src/kitfile/fields.ts';
import { compareNatural } from '../../../src/kitfile/natural-order.ts';
import { parseKitfile } from '../../../src/kitfile/parse.ts';
import { printKitfile, printValue } from '../../../src/kitfile/print.ts';
import type { Kitfile } from '../../../src/kitfile/types.ts';
import { type JsonValue, stringifyLikeGo } from '../../../src/oci/json.ts';
import { stringCases } from './string-cases.ts';

const golden = new URL('../../../fixtures/golden/', import.meta.url);
const goldenText = readFileSync(new URL('input/Kitfile', golden), 'utf8');
const base = { manifestVersion: '1.0.0', package: {} };
const parameters = (value: JsonValue): Kitfile => ({ ...base, model: { parameters: value } });
const same = (kitfile: Kitfile): string => stringifyLikeGo(kitfileFields(kitfile));

describe('printKitfile', () => {
  it('prints the golden Kitfile as kit does, but for exact numbers', () => {
    const printed = printKitfile(parseKitfile(goldenText, 'Kitfile').kitfile);
    const byKit = readFileSync(new URL('kit-output/info-tar.txt', golden), 'utf8');
    expect(printed).toBe(
      byKit.replace('big: 1.2345678901234567e+19', 'big: 12345678901234567890').replace('million: 1e+06', 'million: 1000000'),
    );
  });

  it.each(stringCases)('prints the text %j as kit does', (text, block, flow) => {
    const kitfile: Kitfile = { manifestVersion: '1.0.0', package: { name: text, authors: [text, text] } };
    expect(printKitfile(kitfile)).toBe(`manifestVersion: 1.0.0\npackage:\n  name: ${block}\n  authors: [${flow}, ${flow}]\n`);
  });

  // where yaml.v3 writes what it, or a reader of YAML 1.2, reads as something else
  it.each([
    ['\na', '"\\na"'],
    ['\n', '"\\n"'],
    ['\ta\nb', '"\\ta\\nb"'],
    ['a\u2028b', '"a\\Lb"'],
    ['a\u2029\nb', '"a\\P\\nb"'],
  ])('quotes %j', (text, printed) => {
    expect(printKitfile(parameters([text]))).toBe(`manifestVersion: 1.0.0\nmodel:\n  parameters:\n    - ${printed}\n`);
  });

  it.each<[number | bigint, string]>([
    [0, '0'],
    [-0, '-0.0'],
    [1_000_000, '1000000'],
    [12345678901234567890n, '12345678901234567890'],
    [-9223372036854775808n, '-9223372036854775808'],
    [3.5, '3.5'],
    [1_000_000.5, '1000000.5'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [1e-7, '1e-07'],
    [1.5e-10, '1.5e-10'],
    [1e20, '100000000000000000000'],
    [1e21, '1e+21'],
    [1.7976931348623157e308, '1.7976931348623157e+308'],
    [5e-324, '5e-324'],
  ])('prints the number %s exactly', (value, printed) => {
    const text = printKitfile(parameters(value));
    expect(text).toBe(`manifestVersion: 1.0.0\nmodel:\n  parameters: ${printed}\n`);
    expect(same(parseKitfile(text, 'Kitfile').kitfile)).toBe(same(parameters(value)));
  });

  it('lays collections out as kit does', () => {
    const value = {
      map: { n: 1, a10: {}, a9: [] },
      list: [[1, [2]], { a: 1, b: [] }, []],
      'two\nlines': { k: [1] },
      ['x'.repeat(129)]: 0,
      '<<': 0,
    };
    expect(printKitfile({ ...base, model: {}, docs: [{ path: '' }] })).toBe('manifestVersion: 1.0.0\nmodel: {}\ndocs:\n  - path: ""\n');
    expect(printKitfile(parameters(value))).toBe(`manifestVersion: 1.0.0
model:
  parameters:
    "<<": 0
    list:
      - - 1
        - - 2
      - a: 1
        b: []
      - []
    map:
      a9: []
      a10: {}
      "n": 1
    ? |-
      two
      lines
    : k:
        - 1
    ? ${'x'.repeat(129)}
    : 0
`);
  });

  it('returns the original while it says the same', () => {
    const { kitfile } = parseKitfile(goldenText, 'Kitfile');
    expect(printKitfile(kitfile, goldenText)).toBe(goldenText);
    const changed = { ...kitfile, package: { ...kitfile.package, version: '1.1' } };
    expect(printKitfile(changed, goldenText)).toBe(printKitfile(changed));
    expect(printKitfile(kitfile, 'not: [valid')).toBe(printKitfile(kitfile));
  });
});

describe('printValue', () => {
  const fields = kitfileFields(parseKitfile(goldenText, 'Kitfile').kitfile);
  const model = fields['model'] as Record<string, unknown>;

  it.each([
    ['a list of structs', fields['code'], '- path: src/\n  description: Training code <3\n  license: MIT\n'],
    ['plain text', model['path'], './weights\n'],
    ['lines', model['description'], '|\n  Two shards of safetensors.\n  Second line.\n'],
    ['a list of text', ['Alice Example', "Böb O'Neil"], "- Alice Example\n- Böb O'Neil\n"],
    ['a struct with authors', { name: 'n', authors: ['a', 'b'] }, 'name: "n"\nauthors: [a, b]\n'],
    ['an empty list', [], '[]\n'],
    ['a number', 1_000_000, '1000000\n'],
  ])('prints %s', (_, value, printed) => {
    expect(printValue(value)).toBe(printed);
  });
});

describe('compareNatural', () => {
  it('orders keys as yaml.v3 does', () => {
    // taken from its output
    const ordered =
      ' - _ 1 3 9 10 ٣ A1 B a a- a.b a_b a1 a1b a1- a01 a001 a2 a9 a09 a10 a010 a100 a1000000000000000000000 ab b x1y2 x1y10 x10y1 é 模'.split(
        ' ',
      );
    expect(ordered.toReversed().toSorted(compareNatural)).toStrictEqual(ordered);
  });
});

function optional(fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(fields, { requiredKeys: [] });
}

describe('round trip', () => {
  const awkward = fc.string({
    unit: fc.constantFrom(...Array.from(' \n\t#:-?,[]{}&*!|>\'"%@`\\.=<~abyn0129_+xé\u00A0\uFEFF\u0085\u2028\u007F\u0001\r🚀\uE000\uFFFF')),
    maxLength: 10,
  });
  const text = fc.oneof(awkward, fc.string({ unit: 'binary', maxLength: 20 }));
  const number = fc.oneof(
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  );
  const { value: free } = fc.letrec<{ value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      text,
      number,
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(text, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  const kitfiles = fc.record(
    {
      manifestVersion: text,
      package: optional({ name: text, version: text, description: text, license: text, authors: fc.array(text, { maxLength: 3 }) }),
      model: optional({
        name: text,
        path: text,
        parts: fc.array(optional({ name: text, type: text }), { maxLength: 2 }),
        parameters: free,
      }),
      code: fc.array(optional({ path: text, license: text }), { maxLength: 2 }),
      datasets: fc.array(optional({ name: text, parameters: free, remotePath: text }), { maxLength: 2 }),
      docs: fc.array(fc.record({ path: text, description: text }), { maxLength: 2 }),
      mcpServers: fc.array(optional({ name: text, path: text }), { maxLength: 2 }),
    },
    { requiredKeys: ['manifestVersion', 'package'] },
  ) as fc.Arbitrary<Kitfile>;

  it('every printed Kitfile reads as the same Kitfile', () => {
    fc.assert(
      fc.property(kitfiles, (kitfile) => {
        const printed = printKitfile(kitfile);
        const back = parseKitfile(printed, 'Kitfile').kitfile;
        expect(same(back)).toBe(same(kitfile));
        expect(printKitfile(back)).toBe(printed);
      }),
      { numRuns: 500 },
    );
  });
});
