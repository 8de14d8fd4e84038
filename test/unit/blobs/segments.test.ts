import { execFileSync } from 'node:child_process';
import { renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stampOf } from '../../../src/blobs/file-stamp.ts';
import { type Segment, segmentSource } from '../../../src/blobs/segments.ts';
import { collect, openFiles, temporaryDirectory } from './workspace.ts';

function fileSegment(path: string, offset = 0, length = statSync(path).size - offset): Segment {
  return { type: 'file', path, offset, length, stamp: stampOf(statSync(path, { bigint: true })) };
}

function sampleFile(size: number): string {
  const path = join(temporaryDirectory(), 'sample');
  writeFileSync(path, Buffer.alloc(size, 'abcdefghijk'));
  return path;
}

const changed = expect.objectContaining({ code: 'SOURCE_CHANGED' }) as unknown;

describe('a blob over segments', () => {
  test('any range is that slice of the whole', async () => {
    const path = sampleFile(300_000);
    const content = Buffer.alloc(300_000, 'abcdefghijk');
    const segment = fc.oneof(
      fc.uint8Array({ maxLength: 50 }).map((bytes) => ({ segment: { type: 'bytes', bytes } as Segment, bytes })),
      fc
        .uint8Array({ maxLength: 50 })
        .map((bytes) => ({ segment: { type: 'made', length: bytes.byteLength, make: () => bytes } as Segment, bytes })),
      fc
        .tuple(fc.nat(200_000), fc.oneof(fc.nat(100), fc.nat(100_000), fc.constant(131_072), fc.constant(131_073)))
        .map(([offset, length]) => ({
          segment: fileSegment(path, offset, Math.min(length, 300_000 - offset)),
          bytes: content.subarray(offset, offset + length),
        })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(segment, { maxLength: 6 }), fc.nat(), fc.nat(), async (parts, from, to) => {
        const whole = Buffer.concat(parts.map(({ bytes }) => bytes));
        const source = segmentSource(parts.map((part) => part.segment));
        expect(source.size).toBe(whole.byteLength);
        const [start = 0, end = 0] = [from, to].map((at) => at % (whole.byteLength + 1)).toSorted((a, b) => a - b);
        expect((await collect(source.open())).equals(whole)).toBe(true);
        expect((await collect(source.open({ start, end }))).equals(whole.subarray(start, end))).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('a range beyond the end stops there', async () => {
    const source = segmentSource([{ type: 'bytes', bytes: Buffer.from('abc') }]);
    expect((await collect(source.open({ start: 1, end: 99 }))).toString()).toBe('bc');
    expect(await collect(source.open({ start: 5, end: 9 }))).toHaveLength(0);
    expect(await collect(source.open({ start: 2, end: 1 }))).toHaveLength(0);
  });

  test('thousands of small files come in few chunks, none of which is written to again', async () => {
    const path = sampleFile(1000);
    const source = segmentSource(Array.from({ length: 5000 }, () => fileSegment(path)));
    const seen: { chunk: Uint8Array; copy: Buffer }[] = [];
    for await (const chunk of source.open()) seen.push({ chunk, copy: Buffer.from(chunk) });
    expect(seen.length).toBeLessThanOrEqual(6);
    for (const { chunk, copy } of seen) expect(copy.equals(chunk)).toBe(true);
  });
});

describe.each([
  ['small', 1000],
  ['large', 2_000_000],
])('a %s file that changed since it was looked at', (_kind, size) => {
  const prepare = () => {
    const path = sampleFile(size);
    return { path, source: segmentSource([fileSegment(path)]) };
  };

  test('that is longer', async () => {
    const { path, source } = prepare();
    writeFileSync(path, 'x', { flag: 'a' });
    await expect(collect(source.open())).rejects.toEqual(changed);
  });

  test('that is shorter', async () => {
    const { path, source } = prepare();
    writeFileSync(path, 'short');
    await expect(collect(source.open())).rejects.toEqual(changed);
  });

  test('that has another time', async () => {
    const { path, source } = prepare();
    utimesSync(path, 1, 1);
    await expect(collect(source.open())).rejects.toEqual(changed);
  });

  test('that is another file of the same size and time', async () => {
    const { path, source } = prepare();
    const { atime, mtime } = statSync(path);
    writeFileSync(`${path}.new`, Buffer.alloc(size, 'x'));
    renameSync(`${path}.new`, path);
    utimesSync(path, atime, mtime);
    await expect(collect(source.open())).rejects.toEqual(changed);
  });

  test('that is gone', async () => {
    const { path, source } = prepare();
    rmSync(path);
    await expect(collect(source.open())).rejects.toMatchObject({
      code: 'SOURCE_CHANGED',
      message: expect.stringContaining(path) as unknown,
    });
  });

  test('that is a directory, a pipe or a link now', async () => {
    const { path, source } = prepare();
    rmSync(path);
    symlinkSync('/', path);
    await expect(collect(source.open())).rejects.toEqual(changed);
    rmSync(path);
    execFileSync('mkfifo', [path]);
    await expect(collect(source.open())).rejects.toEqual(changed);
  });
});

test('a large file that changes while it is read', async () => {
  const path = sampleFile(5_000_000);
  const source = segmentSource([fileSegment(path)]);
  let read = 0;
  const reading = async () => {
    for await (const chunk of source.open()) {
      if (read === 0) writeFileSync(path, 'x', { flag: 'a' });
      read += chunk.byteLength;
    }
  };
  await expect(reading()).rejects.toEqual(changed);
  expect(read).toBeGreaterThan(0);
});

describe('files are closed', () => {
  test('when the reader stops early', async () => {
    const path = sampleFile(5_000_000);
    const source = segmentSource([fileSegment(path), fileSegment(path)]);
    for await (const chunk of source.open()) {
      expect(chunk.byteLength).toBeGreaterThan(0);
      expect(openFiles(path)).toHaveLength(1);
      break;
    }
    expect(openFiles(path)).toEqual([]);
  });

  test('when it fails, and at the end', async () => {
    const path = sampleFile(5_000_000);
    const source = segmentSource([fileSegment(path)]);
    await collect(source.open());
    expect(openFiles(path)).toEqual([]);
    utimesSync(path, 1, 1);
    await expect(collect(source.open())).rejects.toEqual(changed);
    expect(openFiles(path)).toEqual([]);
  });

  test('when it is aborted', async () => {
    const path = sampleFile(5_000_000);
    const controller = new AbortController();
    const reason = new Error('stop');
    const read = async () => {
      for await (const chunk of segmentSource([fileSegment(path)]).open(undefined, controller.signal)) {
        expect(chunk.byteLength).toBeGreaterThan(0);
        controller.abort(reason);
      }
    };
    await expect(read()).rejects.toBe(reason);
    expect(openFiles(path)).toEqual([]);
    await expect(collect(segmentSource([fileSegment(path)]).open(undefined, controller.signal))).rejects.toBe(reason);
  });
});
