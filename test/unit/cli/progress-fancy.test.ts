import { beforeEach, describe, expect, test } from 'vitest';
import type { Progress } from '../../../src/cli/render/progress.ts';
import { type FancyDisplay, openFancy } from './fancy-display.ts';
import type { ManualClock } from './manual-clock.ts';
import { blob, bytes, done, MIB, retry, warning } from './progress-events.ts';
import type { VirtualTerminal } from './virtual-terminal.ts';

const GIB = 1024 * MIB;

let clock: ManualClock;
let terminal: VirtualTerminal;
let progress: Progress;
let run: FancyDisplay['run'];

function open(columns: number, rows: number): void {
  ({ clock, terminal, progress, run } = openFancy(columns, rows));
}

beforeEach(() => open(100, 24));

describe('what is on the screen', () => {
  test('a bar for each blob in flight, a line for each that is done, and the total', () => {
    progress.show(blob('a', 2 * GIB, 'model weights-00001-of-00030.safetensors'));
    progress.show(blob('b', 100 * MIB, 'code src'));
    progress.show(blob('c', 700 * MIB, 'datasets train'));
    progress.show(blob('d', 30 * MIB, 'docs README.md'));
    progress.show(done('c', 'exists'));
    progress.show(done('d', 'mounted'));
    run(['a', 'b'], 4, 20 * MIB);
    expect(terminal.text).toMatchInlineSnapshot(`
      "exists datasets train 700.0 MiB
      mounted docs README.md 30.0 MiB
      model weigh…001-of-00030.safetensors  [>         ]   3%    80.0 MiB/2.0 GiB  20.0 MiB/s  1m39s left
      code src                              [========> ]  80%  80.0 MiB/100.0 MiB  20.0 MiB/s    1 s left
      2/4 blobs, 160.0 MiB of 2.0 GiB, 40.0 MiB/s, 50 s left"
    `);
    run(['b'], 1, 20 * MIB);
    progress.show(done('b'));
    clock.advance(100);
    expect(terminal.text).toMatchInlineSnapshot(`
      "exists datasets train 700.0 MiB
      mounted docs README.md 30.0 MiB
      pushed code src 100.0 MiB in 5.0 s (20.0 MiB/s)
      model weights-00001-of-00030.safetensors  [>         ]  3%  80.0 MiB/2.0 GiB  15.6 MiB/s  2m7s left
      3/4 blobs, 180.0 MiB of 2.0 GiB, 35.1 MiB/s, 56 s left"
    `);
    progress.stop();
    expect(terminal.text).toMatchInlineSnapshot(`
      "exists datasets train 700.0 MiB
      mounted docs README.md 30.0 MiB
      pushed code src 100.0 MiB in 5.0 s (20.0 MiB/s)"
    `);
  });

  test('blobs of unknown size show bytes alone, and leave the total open', () => {
    progress.show(blob('a', undefined, 'model a'));
    run(['a'], 1, 3 * MIB);
    expect(terminal.text).toMatchInlineSnapshot(`
      "model a                                            3.0 MiB  3.0 MiB/s
      0/1 blobs, 3.0 MiB, 3.0 MiB/s"
    `);
    progress.show(blob('b', 10 * MIB, 'model bb'));
    run(['a', 'b'], 1, 3 * MIB);
    expect(terminal.text).toMatchInlineSnapshot(`
      "model a                                             6.0 MiB                    3.0 MiB/s
      model bb  [===========>                          ]      30%  3.0 MiB/10.0 MiB  3.0 MiB/s  3 s left
      0/2 blobs, 9.0 MiB, 4.5 MiB/s"
    `);
    progress.show(done('a'));
    run(['b'], 1, 3 * MIB);
    expect(terminal.text).toMatchInlineSnapshot(`
      "pushed model a 6.0 MiB in 2.0 s (3.0 MiB/s)
      model bb  [======================>               ]  60%  6.0 MiB/10.0 MiB  3.0 MiB/s  2 s left
      1/2 blobs, 12.0 MiB of 16.0 MiB, 4.0 MiB/s, 1 s left"
    `);
  });

  test('an attempt that is undone takes the bar back, not the rate; a download that is taken up again is no throughput', () => {
    progress.show(blob('a', 1000 * MIB, 'a'));
    progress.show(bytes('a', 500 * MIB));
    run(['a'], 2, 10 * MIB);
    expect(terminal.text).toMatchInlineSnapshot(`
      "a  [===================>                  ]  52%  520.0 MiB/1000.0 MiB  10.0 MiB/s  48 s left
      0/1 blobs, 520.0 MiB of 1000.0 MiB, 10.0 MiB/s, 48 s left"
    `);
    progress.show(bytes('a', -520 * MIB));
    run(['a'], 1, 10 * MIB);
    expect(terminal.text).toMatchInlineSnapshot(`
      "a  [>                                     ]  1%  10.0 MiB/1000.0 MiB  10.0 MiB/s  1m39s left
      0/1 blobs, 10.0 MiB of 1000.0 MiB, 10.0 MiB/s, 1m39s left"
    `);
    progress.show(bytes('a', -50 * MIB));
    clock.advance(100);
    expect(terminal.text).toContain('  0%  0 B/1000.0 MiB');
    progress.show(bytes('a', 1040 * MIB));
    progress.show(done('a'));
    clock.advance(100);
    expect(terminal.text).toMatchInlineSnapshot(`"pushed a 1000.0 MiB in 3.1 s (9.6 MiB/s)"`);
  });

  test('rates are those of the last seconds: a stalled transfer says so', () => {
    progress.show(blob('a', 1000 * MIB, 'a'));
    run(['a'], 10, 10 * MIB);
    expect(terminal.text).toContain('  10%  100.0 MiB/1000.0 MiB  10.0 MiB/s  1m30s left');
    clock.advance(2500);
    expect(terminal.text).toContain('  10%  100.0 MiB/1000.0 MiB  5.0 MiB/s  3m0s left');
    clock.advance(3000);
    expect(terminal.text).toMatch(/100\.0 MiB\/1000\.0 MiB {2}0 B\/s$/m);
  });

  test('two phases of one blob: the second begins anew, more bytes than expected do no harm', () => {
    progress.show(blob('a', 10 * MIB, 'model a', 'hash'));
    run(['a'], 1, 10 * MIB);
    progress.show(blob('a', 10 * MIB, 'model a', 'push'));
    run(['a'], 1, 5 * MIB);
    expect(terminal.text).toMatchInlineSnapshot(`
      "model a  [===================>                  ]  50%  5.0 MiB/10.0 MiB  5.0 MiB/s  1 s left
      0/1 blobs, 15.0 MiB of 20.0 MiB, 7.5 MiB/s, 1 s left"
    `);
    run(['a'], 2, 5 * MIB);
    expect(terminal.text).toMatchInlineSnapshot(`
      "model a  [======================================]  100%  15.0 MiB/10.0 MiB  5.0 MiB/s
      0/1 blobs, 25.0 MiB, 6.2 MiB/s"
    `);
    progress.show(done('a'));
    progress.show(done('a'));
    progress.show(bytes('a', MIB));
    clock.advance(100);
    expect(terminal.text).toMatchInlineSnapshot(`"pushed model a 10.0 MiB in 3.0 s (5.0 MiB/s)"`);
  });

  test('an empty blob and a small one', () => {
    progress.show(blob('a', 0, 'empty'));
    progress.show(blob('b', 300, 'small'));
    clock.advance(100);
    expect(terminal.text).toMatchInlineSnapshot(`
      "empty  [======================================]  100%    0 B/0 B  0 B/s
      small  [>                                     ]    0%  0 B/300 B  0 B/s
      0/2 blobs, 0 B of 300 B, 0 B/s"
    `);
    progress.show(done('a'));
    progress.show(done('b'));
    progress.stop();
    expect(terminal.text).toMatchInlineSnapshot(`
      "pushed empty 0 B
      pushed small 300 B"
    `);
  });

  test('warnings and retries stand above the bars', () => {
    progress.show(warning('before all'));
    expect(terminal.text).toBe('warning: before all');
    progress.show(blob('sha256:1', 10 * MIB, 'model a'));
    run(['sha256:1'], 1, MIB);
    progress.show(retry('sha256:1', new Error('503')));
    progress.show(retry('ghcr.io/a/b:v1', 'text'));
    progress.show(warning('x'.repeat(150)));
    progress.show(warning('two\nlines'));
    clock.advance(100);
    expect(terminal.text).toMatchInlineSnapshot(`
      "warning: before all
      retry model a in 1.5 s (attempt 2): 503
      retry ghcr.io/a/b:v1 in 1.5 s (attempt 2): text
      warning: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
      xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
      warning: two
        lines
      model a  [===>                                  ]  10%  1.0 MiB/10.0 MiB  930.9 KiB/s  10 s left
      0/1 blobs, 1.0 MiB of 10.0 MiB, 930.9 KiB/s, 10 s left"
    `);
  });
});

describe('labels come from artifacts', () => {
  test('controls, direction marks and halves of pairs are shown as question marks', () => {
    progress.show(blob('a', MIB, 'a\u001B[2J\u001B]0;title\u0007\r\nb\u009B1A\u202Ec\u2028d\uD800\u200B'));
    progress.show(retry('\u001B[31mid', new Error('\u001B[31mcause')));
    progress.show(warning('\u001B[31mwarning\nwarning: forged'));
    clock.advance(100);
    progress.show(done('a', 'exists'));
    clock.advance(100);
    // the virtual terminal throws on all sequences that are not the display's own
    expect(terminal.text).toMatchInlineSnapshot(`
      "retry ?[31mid in 1.5 s (attempt 2): ?[31mcause
      warning: ?[31mwarning
        warning: forged
      exists a?[2J?]0;title???b?1A?c?d?? 1.0 MiB"
    `);
  });

  test('wide characters and very long labels never break a line', () => {
    open(60, 24);
    const labels = ['模型'.repeat(40), '😀'.repeat(40), 'x'.repeat(100_000), '', 'é'.repeat(80)];
    for (const [index, label] of labels.entries()) progress.show(blob(String(index), GIB, label));
    for (const width of [60, 41, 25, 12, 3]) {
      terminal.resize(width, 24);
      clock.advance(100);
      expect(terminal.screen).toHaveLength(labels.length + 1);
      for (const line of terminal.screen) expect(line.replaceAll(/[模型😀]/gu, '##').length).toBeLessThan(width);
    }
  });

  test('not even where the terminal gives a character more cells than expected', () => {
    open(60, 24);
    terminal.ellipsisWidth = 2;
    progress.show(blob('a', GIB, '…'.repeat(100)));
    clock.advance(1000);
    expect(terminal.screen).toHaveLength(2);
    progress.stop();
    expect(terminal.text).toBe('');
    // what stays may take more than one line
    progress.show(warning('x'.repeat(70)));
    expect(terminal.screen).toHaveLength(3);
  });
});

describe('cost', () => {
  test('events do not draw: a timer does, ten times a second', () => {
    progress.show(blob('a', GIB, 'a'));
    for (let count = 0; count < 1000; count++) progress.show(bytes('a', MIB));
    expect(terminal.writes).toBe(0);
    clock.advance(1000);
    expect(terminal.writes).toBe(10);
  });

  test('what is over at once draws no bars, and a thousand small blobs draw once', () => {
    for (let index = 0; index < 1000; index++) {
      progress.show(blob(`${index}`, 10));
      progress.show(done(`${index}`));
    }
    expect(terminal.writes).toBe(0);
    progress.stop();
    expect(terminal.writes).toBe(1);
    expect(terminal.text.split('\n')).toHaveLength(1000);
  });
});

describe('the end', () => {
  test('the cursor is hidden while bars are shown, and comes back', () => {
    progress.show(blob('a', GIB, 'a'));
    expect(terminal.isCursorShown).toBe(true);
    clock.advance(100);
    expect(terminal.isCursorShown).toBe(false);
    progress.stop();
    expect(terminal.isCursorShown).toBe(true);
    expect(terminal.text).toBe('');
    expect(clock.timers.size).toBe(0);
    terminal.write('error: text\n');
    progress.stop();
    expect(terminal.text).toBe('error: text');
  });

  test('it comes back too when the process ends in between', () => {
    const before = process.listeners('exit');
    progress.show(blob('a', GIB, 'a'));
    clock.advance(1000);
    const added = process.listeners('exit').filter((listener) => !before.includes(listener));
    expect(added).toHaveLength(1);
    added[0]?.call(process, 130);
    expect(terminal.isCursorShown).toBe(true);
    expect(terminal.text).toBe('');
    expect(process.listeners('exit')).toEqual(before);
  });

  test('events that come late change nothing, a new blob begins anew', () => {
    progress.show(blob('a', GIB, 'a'));
    clock.advance(100);
    progress.stop();
    progress.show(bytes('a', MIB));
    progress.show(done('a'));
    clock.advance(1000);
    expect(terminal.text).toBe('');
    progress.show(blob('b', GIB, 'b'));
    clock.advance(100);
    expect(terminal.text).toMatch(/^0\/1 blobs/m);
  });
});
