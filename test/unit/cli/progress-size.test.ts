import { expect, test } from 'vitest';
import { openFancy } from './fancy-display.ts';
import { blob, done, MIB, warning } from './progress-events.ts';
import { VirtualTerminal } from './virtual-terminal.ts';

test('what fits is shown', () => {
  const screens = [160, 80, 66, 50, 39, 30, 20, 8, 1].map((columns) => {
    const { terminal, runTwo } = openFancy(columns, 24);
    runTwo();
    expect(terminal.screen).toHaveLength(3);
    return terminal.text;
  });
  expect(screens.join('\n\n')).toMatchInlineSnapshot(`
    "model weights-00001-of-00030.safetensors  [>                                     ]   1%    40.0 MiB/2.0 GiB  20.0 MiB/s  1m41s left
    code src                                  [===============>                      ]  40%  40.0 MiB/100.0 MiB  20.0 MiB/s    3 s left
    0/2 blobs, 80.0 MiB of 2.0 GiB, 40.0 MiB/s, 52 s left

    model weigh…001-of-00030.safetensors  [>         ]   1%  20.0 MiB/s  1m41s left
    code src                              [====>     ]  40%  20.0 MiB/s    3 s left
    0/2 blobs, 80.0 MiB of 2.0 GiB, 40.0 MiB/s, 52 s left

    model w…30.safetensors  [>         ]   1%  20.0 MiB/s  1m41s left
    code src                [====>     ]  40%  20.0 MiB/s    3 s left
    0/2 blobs, 80.0 MiB of 2.0 GiB, 40.0 MiB/s, 52 s left

    model …0.safetensors   1%  20.0 MiB/s  1m41s left
    code src              40%  20.0 MiB/s    3 s left
    0/2 blobs, 80.0 MiB of 2.0 GiB, 40.0 MiB/s

    model …30.safetensors   1%  1m41s left
    code src               40%    3 s left
    0/2 blobs, 80.0 MiB of 2.0 GiB

    model w…0030.safetensors   1%
    code src                  40%
    0/2 blobs

    model ….safetensors
    code src
    0/2 blobs

    mo…sors
    co… src
    0/2 bl…

    …
    …
    …"
  `);
});

test('an unknown size counts as 80 columns and 24 rows', () => {
  const { clock, terminal, progress } = openFancy(0, 0);
  const written: string[] = [];
  terminal.write = (text) => void written.push(text);
  for (let index = 0; index < 30; index++) progress.show(blob(`${index}`, 1024 * MIB, 'x'.repeat(200)));
  clock.advance(100);
  const known = new VirtualTerminal(80, 24);
  known.write(written.join(''));
  expect(known.screen).toHaveLength(24);
  expect(known.text.split('\n').at(-2)).toBe('… and 8 more');
  expect(Math.max(...known.screen.map((line) => line.length))).toBe(79);
});

test('more blobs than rows', () => {
  const { clock, terminal, progress } = openFancy(80, 6);
  progress.show(warning('first'));
  for (let index = 1; index <= 11; index++) progress.show(blob(String(index), MIB, `blob ${index}`));
  clock.advance(100);
  expect(terminal.screen).toMatchInlineSnapshot(`
    [
      "blob 1  [>                                     ]  0%  0 B/1.0 MiB  0 B/s",
      "blob 2  [>                                     ]  0%  0 B/1.0 MiB  0 B/s",
      "blob 3  [>                                     ]  0%  0 B/1.0 MiB  0 B/s",
      "blob 4  [>                                     ]  0%  0 B/1.0 MiB  0 B/s",
      "… and 7 more",
      "0/11 blobs, 0 B of 11.0 MiB, 0 B/s",
    ]
  `);
  for (let index = 1; index <= 6; index++) progress.show(done(String(index)));
  clock.advance(100);
  // five and the total fit
  expect(terminal.screen).toMatchInlineSnapshot(`
    [
      "blob 7   [>                                     ]  0%  0 B/1.0 MiB  0 B/s",
      "blob 8   [>                                     ]  0%  0 B/1.0 MiB  0 B/s",
      "blob 9   [>                                     ]  0%  0 B/1.0 MiB  0 B/s",
      "blob 10  [>                                     ]  0%  0 B/1.0 MiB  0 B/s",
      "blob 11  [>                                     ]  0%  0 B/1.0 MiB  0 B/s",
      "6/11 blobs, 0 B of 5.0 MiB, 0 B/s",
    ]
  `);
  for (const [rows, last] of [
    [3, '… and 4 more'],
    [2, '… and 5 more'],
  ] as const) {
    terminal.resize(80, rows);
    clock.advance(100);
    expect(terminal.screen).toHaveLength(rows);
    expect(terminal.screen.at(-2)).toBe(last);
  }
  terminal.resize(80, 1);
  clock.advance(100);
  expect(terminal.screen).toEqual([expect.stringMatching(/^6\/11 blobs/)]);
  progress.stop();
  // what scrolled past is whole, and no bar is left
  expect(terminal.text.match(/^(pushed blob \d+|warning)/gm)).toHaveLength(7);
});

test('resizing leaves nothing behind', () => {
  const { clock, terminal, progress, runTwo } = openFancy(100, 24);
  const sizes = [40, 200, 25, 100, 61, 99];
  for (const columns of sizes) {
    runTwo();
    terminal.resize(columns, 24);
    clock.advance(100);
    progress.show(done('a', 'exists'));
    terminal.resize(columns + 7, 12);
    clock.advance(100);
    progress.show(done('b', 'exists'));
    progress.stop();
  }
  const logical = terminal.text.replaceAll(/\n(?!exists)/g, '').split('\n');
  expect(logical).toEqual(sizes.flatMap(() => ['exists model weights-00001-of-00030.safetensors 2.0 GiB', 'exists code src 100.0 MiB']));
});

test('a narrower terminal breaks what was drawn: the next drawing takes its place', () => {
  const { clock, terminal, progress, runTwo } = openFancy(100, 24);
  progress.show(warning('stays'));
  runTwo();
  terminal.resize(45, 24);
  expect(terminal.text.split('\n').length).toBeGreaterThan(4);
  clock.advance(100);
  expect(terminal.text).toMatchInlineSnapshot(`
    "warning: stays
    model we…-00030.safetensors   1%  1m46s left
    code src                     40%    4 s left
    0/2 blobs, 80.0 MiB of 2.0 GiB, 38.0 MiB/s"
  `);
});
