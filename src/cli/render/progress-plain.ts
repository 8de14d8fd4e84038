import type { KitEvent } from '../../events.ts';
import type { Clock } from './clock.ts';
import type { OutputStream } from './output-stream.ts';
import { message } from './plain-text.ts';
import type { Progress } from './progress.ts';
import { doneText, retryText, totalParts } from './transfer-text.ts';
import { Transfers } from './transfers.ts';

const TOTAL_EVERY_MS = 10_000;

/** For logs: a line for each blob that is done, and where all of them are every ten seconds. */
export function plainProgress(stream: OutputStream, clock: Clock): Progress {
  let transfers = new Transfers(clock.now());
  let stopTimer: (() => void) | undefined;
  const print = (line: string): void => {
    stream.write(`${line}\n`);
  };
  const showTotal = (): void => {
    transfers.sample(clock.now());
    if (transfers.inFlight.size > 0) print(totalParts(transfers).join(', '));
  };
  return {
    show(event: KitEvent) {
      if (event.type === 'bytes') transfers.add(event.id, event.delta);
      else if (event.type === 'plan') transfers.plan(event);
      else if (event.type === 'blob') {
        transfers.begin(event, clock.now());
        stopTimer ??= clock.every(TOTAL_EVERY_MS, showTotal);
      } else if (event.type === 'done') {
        const transfer = transfers.end(event.id);
        if (transfer !== undefined) print(doneText(transfer, event.outcome, clock.now()).join(' '));
      } else if (event.type === 'retry') print(retryText(event, transfers.inFlight.get(event.id)).join(' '));
      else if (event.type === 'warning') print(`warning: ${message(event.message)}`);
      else if (event.type === 'note') print(message(event.message));
    },
    stop() {
      stopTimer?.();
      stopTimer = undefined;
      transfers = new Transfers(clock.now());
    },
  };
}
