import { describe, expect, test } from 'vitest';
import { VerbatimNumber } from '../../../src/oci/json.ts';
import { parseAnnotationEdits, parseLabelEdits, parseSelector } from '../../../src/operations/model-index/variant-labels.ts';

const usage = (message: string) =>
  expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message) as unknown }) as unknown;

describe('labels to set and to take away', () => {
  test('texts, JSON and removals', () => {
    const { set, remove } = parseLabelEdits([
      'quantization=q4_0',
      'source=https://example.com/?a=b',
      'empty=',
      'dash=a-',
      'count:=7000000000',
      'float:=1.50',
      'gpus:=[ "sm_80", "sm_90" ]',
      'example.com/gpu=yes',
      'old-',
      'a-b-',
    ]);
    expect(Object.fromEntries(set)).toEqual({
      quantization: 'q4_0',
      source: 'https://example.com/?a=b',
      empty: '',
      dash: 'a-',
      count: 7000000000,
      float: new VerbatimNumber('1.50'),
      gpus: ['sm_80', 'sm_90'],
      'example.com/gpu': 'yes',
    });
    expect([...remove]).toEqual(['old', 'a-b']);
  });

  test.each([
    ['quantization', 'invalid label'],
    ['=value', 'invalid label'],
    ['-', 'invalid label'],
    [':=1', 'invalid label'],
    ['has space=x', 'invalid label key'],
    ['_x=1', 'invalid label key'],
    ['UPPER.example/x=1', 'invalid label key'],
    ['a/b/c=1', 'invalid label key'],
    [`${'x'.repeat(400)}=1`, 'invalid label key'],
    ['gpus:=[', 'is not JSON'],
    ['gpus:=', 'is not JSON'],
  ])('%s is refused', (arg, message) => {
    expect(() => parseLabelEdits([arg])).toThrow(usage(message));
  });

  test.each([[['z=1', 'z-']], [['z=1', 'z:=2']], [['z-', 'z-']]])('%j names a key twice', (args) => {
    expect(() => parseLabelEdits(args)).toThrow(usage('given twice'));
  });
});

describe('annotations', () => {
  test('texts and removals', () => {
    const { set, remove } = parseAnnotationEdits(['org.example.tested=true', 'org.example.old-']);
    expect([Object.fromEntries(set), [...remove]]).toEqual([{ 'org.example.tested': 'true' }, ['org.example.old']]);
  });

  test.each([
    ['org.example.count:=1', 'its value is a text'],
    ['ml.kitops.modelkit.size=1', 'written by kit itself'],
    ['ml.kitops.modelkit.original-tag-', 'written by kit itself'],
  ])('%s is refused', (arg, message) => {
    expect(() => parseAnnotationEdits([arg])).toThrow(usage(message));
  });
});

test('a selector', () => {
  expect(parseSelector(['quantization=q4_0', 'x=', 'y=a=b'])).toEqual({ quantization: 'q4_0', x: '', y: 'a=b' });
  for (const arg of ['quantization', 'quantization-', '=q4_0']) expect(() => parseSelector([arg])).toThrow(usage('invalid label'));
  expect(() => parseSelector(['x=1', 'x=2'])).toThrow(usage('given twice'));
});
