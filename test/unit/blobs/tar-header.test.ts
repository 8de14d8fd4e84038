import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodeTarHeader, tarHeaderSize } from '../../../src/blobs/tar-header.ts';
import { digestOf } from '../../../src/oci/digest.ts';

interface Case {
  /** Strings, and pairs of a string and how often it is repeated. */
  readonly path: string | readonly (string | readonly [string, number])[];
  readonly type: 'file' | 'directory';
  /** Octal. */
  readonly mode: string;
  readonly size: number;
  readonly blocks: number;
  readonly sha256: string;
}

const CASES = JSON.parse(readFileSync(join(import.meta.dirname, '../../../fixtures/tar-headers/go-headers.json'), 'utf8')) as Case[];

function pathOf({ path }: Case): string {
  return typeof path === 'string' ? path : path.map((part) => (typeof part === 'string' ? part : part[0].repeat(part[1]))).join('');
}

describe('the header equals that of Go archive/tar', () => {
  test.each(CASES.map((item) => [JSON.stringify(item.path), item.type, item.mode, item.size, item] as const))('%s %s %s %d', (...row) => {
    const item = row[4];
    const fields = { path: pathOf(item), type: item.type, mode: Number.parseInt(item.mode, 8), size: item.size };
    const header = encodeTarHeader(fields);
    expect(header.byteLength).toBe(item.blocks * 512);
    expect(digestOf(header)).toBe(`sha256:${item.sha256}`);
    expect(tarHeaderSize(fields)).toBe(header.byteLength);
  });
});

test('a NUL byte has no place in a header', () => {
  expect(() => encodeTarHeader({ path: 'a\0b', type: 'file', mode: 0o644, size: 0 })).toThrow(
    expect.objectContaining({ code: 'PATH_UNSUPPORTED' }),
  );
});
