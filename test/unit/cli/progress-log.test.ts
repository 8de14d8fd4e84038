import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { KitEvent } from '../../../src/events.ts';
import type { GlobalFlags } from '../../../src/cli/options/global.ts';
import { createProgress, type Progress } from '../../../src/cli/render/progress.ts';
import { ManualClock } from './manual-clock.ts';
import { blob, bytes, done, MIB, retry, warning } from './progress-events.ts';

let clock: ManualClock;
let written: string[];
let progress: Progress;

beforeEach(() => {
  clock = new ManualClock();
  written = [];
});
afterEach(() => progress.stop());

function open(style: NonNullable<GlobalFlags['progress']>, logLevel: GlobalFlags['logLevel'] = 'info'): void {
  progress = createProgress({ logLevel, progress: style }, {}, { write: (text) => written.push(text) }, clock);
}

function show(...events: readonly KitEvent[]): void {
  for (const event of events) progress.show(event);
}

/** What was written since the last call. */
function take(): string {
  return written.splice(0).join('');
}

function takeEvents(): KitEvent[] {
  return take()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as KitEvent);
}

describe('plain', () => {
  beforeEach(() => open('plain'));

  test('a line for each blob that is done, nothing for its bytes', () => {
    show(blob('a', 20 * MIB, 'model m', 'pack'), blob('b', 300, 'code c', 'unpack'), blob('c', 5 * MIB, 'docs d', 'pull'));
    show(blob('d', 5 * MIB, 'x', 'hash'), blob('e', undefined, 'unknown'));
    for (let count = 0; count < 20; count++) show(bytes('a', MIB), bytes('e', MIB));
    expect(written).toEqual([]);
    clock.advance(4000);
    show(done('a'), done('c', 'skipped'), done('d'), done('e'));
    clock.advance(1000);
    show(done('b'), done('b'), done('nothing'));
    expect(take()).toMatchInlineSnapshot(`
      "packed model m 20.0 MiB in 4.0 s (5.0 MiB/s)
      skipped docs d 5.0 MiB
      hashed x 5.0 MiB in 4.0 s
      pushed unknown 20.0 MiB in 4.0 s (5.0 MiB/s)
      unpacked code c 300 B in 5.0 s
      "
    `);
  });

  test('blobs that were announced count before they begin', () => {
    show({ type: 'plan', blobs: 3, bytes: 40 * MIB }, blob('a', 10 * MIB, 'a'), bytes('a', 5 * MIB));
    clock.advance(10_000);
    expect(take()).toMatch(/^0\/3 blobs, 5\.0 MiB of 40\.0 MiB/);
    show(bytes('a', 5 * MIB), done('a'), blob('b', 20 * MIB, 'b'), done('b', 'exists'), blob('c', 10 * MIB, 'c'));
    take();
    clock.advance(10_000);
    expect(take()).toMatch(/^2\/3 blobs, 10\.0 MiB of 20\.0 MiB/);
  });

  test('where all are, every ten seconds while something is in flight', () => {
    show(blob('a', 4000 * MIB, 'model m'), blob('b', 4000 * MIB, 'model n'));
    clock.advance(9900);
    expect(take()).toBe('');
    show(bytes('a', 50 * MIB), bytes('a', 50 * MIB));
    clock.advance(100);
    expect(take()).toBe('0/2 blobs, 100.0 MiB of 7.8 GiB, 10.0 MiB/s, 13m10s left\n');
    show(done('b', 'exists'), bytes('a', 60 * MIB));
    clock.advance(10_000);
    // the rate is that of these ten seconds
    expect(take()).toBe('exists model n 3.9 GiB\n1/2 blobs, 160.0 MiB of 3.9 GiB, 6.0 MiB/s, 10m40s left\n');
    clock.advance(20_000);
    expect(take()).toBe('1/2 blobs, 160.0 MiB of 3.9 GiB, 0 B/s\n'.repeat(2));
    show(done('a'));
    take();
    clock.advance(60_000);
    expect(take()).toBe('');
    progress.stop();
    expect(clock.timers.size).toBe(0);
  });

  test.each([
    [1, '1 s'],
    [59, '59 s'],
    [60, '1m0s'],
    [3599, '59m59s'],
    [3600, '1h0m'],
    [86_399, '23h59m'],
    [90_000, '1d1h'],
    [8_640_000, 'over 99d'],
  ])('%i seconds are %s', (seconds, text) => {
    show(blob('a', 10 * (seconds + 1), 'a'), bytes('a', 10));
    // one byte a second
    clock.advance(10_000);
    expect(take()).toContain(`, 1 B/s, `);
    progress.stop();
    show(blob('a', 100 + seconds * 10, 'a'), bytes('a', 100));
    clock.advance(10_000);
    expect(take()).toContain(`, 10 B/s, ${text} left\n`);
  });

  test('how long a blob took', () => {
    for (const [ms, text] of [
      [40, '0.0 s (1000.0 MiB/s)'],
      [59_949, '59.9 s (683.2 KiB/s)'],
      [59_950, '1m0s (683.2 KiB/s)'],
      [7_384_000, '2h3m (5.5 KiB/s)'],
    ] as const) {
      show(blob('a', 40 * MIB, 'a'), bytes('a', 40 * MIB));
      clock.advance(ms);
      show(done('a'));
      expect(take().split('\n').at(-2)).toBe(`pushed a 40.0 MiB in ${text}`);
    }
  });

  test('retries and warnings, on one line each, without control characters', () => {
    show(blob('a', MIB, 'model\n\u001B[1mm'), retry('a', new Error('503\u0007')), retry('b', 'text'), warning('a\u001B[Ab\nc\rd'));
    show(done('a', 'mounted'));
    expect(take()).toMatchInlineSnapshot(`
      "retry model??[1mm in 1.5 s (attempt 2): 503?
      retry b in 1.5 s (attempt 2): text
      warning: a?[Ab
        c?d
      mounted model??[1mm 1.0 MiB
      "
    `);
  });
});

describe('json', () => {
  beforeEach(() => open('json'));

  test('each event is an object on a line of its own', () => {
    show({ type: 'plan', blobs: 2, bytes: 3 }, blob('a', undefined, 'm\nn'), blob('b', 3, 'n'), warning('w'));
    show(retry('a', new Error('503')), done('a', 'skipped'));
    expect(take()).toMatchInlineSnapshot(`
      "{"type":"plan","blobs":2,"bytes":3}
      {"type":"blob","id":"a","action":"push","label":"m\\nn"}
      {"type":"blob","id":"b","action":"push","label":"n","total":3}
      {"type":"warning","code":"TEST","message":"w"}
      {"type":"retry","id":"a","attempt":2,"delayMs":1500,"cause":"Error: 503"}
      {"type":"done","id":"a","outcome":"skipped"}
      "
    `);
    open('json', 'error');
    show(warning('told all the same'));
    expect(takeEvents()).toHaveLength(1);
  });

  test('the first bytes of a blob at once, the others summed up ten times a second', () => {
    show(bytes('a', 5), bytes('b', 7));
    expect(takeEvents()).toEqual([bytes('a', 5), bytes('b', 7)]);
    for (let count = 0; count < 1000; count++) show(bytes('a', 2), bytes('b', 1));
    show(bytes('b', -1100));
    expect(takeEvents()).toEqual([]);
    clock.advance(100);
    expect(takeEvents()).toEqual([bytes('a', 2000), bytes('b', -100)]);
    clock.advance(100);
    // quiet for a period: the next is a first one again
    show(bytes('a', 3));
    expect(takeEvents()).toEqual([bytes('a', 3)]);
  });

  test('a second of many events is about ten lines a blob', () => {
    for (let count = 0; count < 10_000; count++) {
      show(bytes('a', MIB));
      if (count % 10 === 9) clock.advance(1);
    }
    progress.stop();
    const lines = takeEvents();
    expect(lines.length).toBeLessThanOrEqual(12);
    expect(lines.reduce((sum, event) => sum + (event.type === 'bytes' ? event.delta : Number.NaN), 0)).toBe(10_000 * MIB);
  });

  test('bytes come before the next other event of their blob, and before the end', () => {
    show(bytes('a', 1), bytes('a', 2), bytes('b', 1), bytes('b', 2), done('c'));
    show(retry('b', 'x'), bytes('b', -3), done('a'));
    expect(takeEvents().map((event) => ('delta' in event ? `${event.id}${event.delta}` : event.type))).toEqual([
      'a1',
      'b1',
      'done',
      'b2',
      'retry',
      'a2',
      'done',
    ]);
    progress.stop();
    expect(takeEvents()).toEqual([bytes('b', -3)]);
    expect(clock.timers.size).toBe(0);
    progress.stop();
    expect(takeEvents()).toEqual([]);
  });

  test('sums that cancel out are not told', () => {
    show(bytes('a', 1), bytes('a', 2), bytes('a', -2), done('a'));
    expect(takeEvents()).toEqual([bytes('a', 1), done('a')]);
  });
});

describe('none', () => {
  test('only warnings, and these only at their level', () => {
    open('none');
    show(blob('a', MIB), bytes('a', MIB), retry('a', 'x'), done('a'), warning('a\u001Bb'));
    expect(take()).toBe('warning: a?b\n');
    for (const style of ['none', 'plain', 'fancy'] as const) {
      open(style, 'error');
      show(warning('hidden'));
      open(style, 'warn');
      show(warning('shown'));
      progress.stop();
      expect(take(), style).toBe('warning: shown\n');
    }
  });
});
