import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { isKitError, type KitError } from '../../../src/errors.ts';
import { parseKitfile } from '../../../src/kitfile/parse.ts';
import { readKitfileJson } from '../../../src/kitfile/read-json.ts';
import { type JsonValue, parseExactJson } from '../../../src/oci/json.ts';

const golden = new URL('../../../fixtures/golden/', import.meta.url);

function refusal(value: JsonValue): KitError {
  try {
    readKitfileJson(value, 'sha256:abc');
  } catch (error) {
    if (isKitError(error, 'MANIFEST_INVALID')) return error;
    throw error;
  }
  throw new Error('accepted');
}

function deep(levels: number): JsonValue {
  return Array.from({ length: levels }).reduce<JsonValue>((inner) => [inner], 1);
}

describe('readKitfileJson', () => {
  it('reads from a config blob what parseKitfile reads from the Kitfile', () => {
    const config = readFileSync(
      new URL('kit-modelkit-tar/blobs/sha256/6072d82462929812b85457a617b02174c7e5872195897ec1975d780fc8371e65', golden),
      'utf8',
    );
    const { kitfile } = parseKitfile(readFileSync(new URL('input/Kitfile', golden), 'utf8'), 'Kitfile');
    expect(readKitfileJson(parseExactJson(config), 'config')).toStrictEqual(kitfile);
  });

  it('leaves unknown fields and null out, and keeps null inside parameters', () => {
    const value = {
      manifestVersion: null,
      later: [1],
      package: { name: 'a', extra: {} },
      model: { digest: 'x', parameters: { a: null, b: [null] } },
      code: null,
    };
    expect(readKitfileJson(value, 'config')).toStrictEqual({
      manifestVersion: '',
      package: { name: 'a' },
      model: { parameters: { a: null, b: [null] } },
    });
    expect(readKitfileJson({ model: { parameters: null } }, 'config')).toStrictEqual({ manifestVersion: '', package: {}, model: {} });
  });

  it.each<[JsonValue, string]>([
    [[], 'a Kitfile must be a map, found a list'],
    [{ package: { name: 5 } }, '`package.name` must be text, found the number 5'],
    [{ package: { name: 9007199254740993n } }, '`package.name` must be text, found the number 9007199254740993'],
    [{ model: { parts: [{ path: true }] } }, '`model.parts[0].path` must be text, found the boolean true'],
    [{ code: { path: 'a' } }, '`code` must be a list, found a map'],
    [{ package: { authors: [null] } }, '`package.authors[0]` must be text, found nothing'],
    [{ docs: ['\u001B[31m'] }, '`docs[0]` must be a map, found the text `\\u001b[31m`'],
  ])('refuses a wrong type: %#', (value, message) => {
    expect(refusal(value).message).toBe(`config sha256:abc holds no valid Kitfile: ${message}`);
  });

  it('refuses deep nesting', () => {
    expect(refusal({ model: { parameters: deep(200) } }).message).toContain('nested deeper than 100 levels');
    expect(refusal({ unknown: deep(5000) }).message).toContain('nested deeper than 100 levels');
  });
});
