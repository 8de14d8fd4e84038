import { onTestFinished } from 'vitest';
import { createProgress, type Progress } from '../../../src/cli/render/progress.ts';
import { ManualClock } from './manual-clock.ts';
import { blob, bytes, MIB } from './progress-events.ts';
import { VirtualTerminal } from './virtual-terminal.ts';

/** Bars on a virtual terminal. */
export interface FancyDisplay {
  readonly clock: ManualClock;
  readonly terminal: VirtualTerminal;
  readonly progress: Progress;
  /** Lets seconds pass in which each blob moves `rate` bytes a second. */
  readonly run: (ids: readonly string[], seconds: number, rate: number) => void;
  /** Two blobs after two seconds: `a` of 2 GiB with a long name, `b` of 100 MiB. */
  readonly runTwo: () => void;
}

export function openFancy(columns: number, rows: number): FancyDisplay {
  const clock = new ManualClock();
  const terminal = new VirtualTerminal(columns, rows);
  const progress = createProgress({ logLevel: 'info' }, { NO_COLOR: '1' }, terminal, clock);
  onTestFinished(() => progress.stop());
  const run: FancyDisplay['run'] = (ids, seconds, rate) => {
    for (let tenth = 0; tenth < seconds * 10; tenth++) {
      // whole bytes, and exactly `rate` in ten of them
      const delta = Math.round((rate * (tenth + 1)) / 10) - Math.round((rate * tenth) / 10);
      for (const id of ids) progress.show(bytes(id, delta));
      clock.advance(100);
    }
  };
  return {
    clock,
    terminal,
    progress,
    run,
    runTwo() {
      progress.show(blob('a', 2048 * MIB, 'model weights-00001-of-00030.safetensors'));
      progress.show(blob('b', 100 * MIB, 'code src'));
      run(['a', 'b'], 2, 20 * MIB);
    },
  };
}
