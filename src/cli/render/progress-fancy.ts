import { Chalk, supportsColorStderr } from 'chalk';
import type { KitEvent } from '../../events.ts';
import { barLines } from './bar-lines.ts';
import type { Clock } from './clock.ts';
import { LiveLines } from './live-lines.ts';
import type { OutputStream } from './output-stream.ts';
import { message } from './plain-text.ts';
import type { Progress } from './progress.ts';
import { doneText, retryText } from './transfer-text.ts';
import { Transfers } from './transfers.ts';

const REDRAW_MS = 100;
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

/**
 * Bars of the blobs in flight, and above them a line for each that is done. Events only count: a timer draws.
 * What takes less than one period draws no bars at all.
 */
export function fancyProgress(stream: OutputStream, clock: Clock, env: NodeJS.ProcessEnv): Progress {
  const color = new Chalk({ level: env['NO_COLOR'] || !supportsColorStderr ? 0 : supportsColorStderr.level });
  const live = new LiveLines(stream);
  let transfers = new Transfers(clock.now());
  let above: string[] = [];
  let stopTimer: (() => void) | undefined;
  const draw = (): void => {
    transfers.sample(clock.now());
    // asked each time: the user may have resized the terminal
    const lines = transfers.inFlight.size > 0 ? barLines(transfers, stream.columns || DEFAULT_COLUMNS, stream.rows || DEFAULT_ROWS) : [];
    live.draw(above, lines);
    above = [];
  };
  const print = (line: string): void => {
    above.push(line);
    if (stopTimer === undefined) draw();
  };
  return {
    show(event: KitEvent) {
      if (event.type === 'bytes') transfers.add(event.id, event.delta);
      else if (event.type === 'plan') transfers.plan(event);
      else if (event.type === 'blob') {
        transfers.begin(event, clock.now());
        stopTimer ??= clock.every(REDRAW_MS, draw);
      } else if (event.type === 'done') {
        const transfer = transfers.end(event.id);
        if (transfer === undefined) return;
        const [verb, what] = doneText(transfer, event.outcome, clock.now());
        print(`${event.outcome === 'copied' ? color.green(verb) : color.cyan(verb)} ${what}`);
      } else if (event.type === 'retry') {
        const [verb, what] = retryText(event, transfers.inFlight.get(event.id));
        print(`${color.yellow(verb)} ${what}`);
      } else if (event.type === 'warning') print(`${color.yellow('warning')}: ${message(event.message)}`);
      else if (event.type === 'note') print(message(event.message));
    },
    stop() {
      stopTimer?.();
      stopTimer = undefined;
      live.draw(above, []);
      above = [];
      transfers = new Transfers(clock.now());
    },
  };
}
