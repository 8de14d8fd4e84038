import type { KitEvent } from '../../events.ts';
import { stringifyExact } from '../../oci/json.ts';
import type { Clock } from './clock.ts';
import type { OutputStream } from './output-stream.ts';
import type { Progress } from './progress.ts';

const FLUSH_MS = 100;

/**
 * Events for programs, one JSON object a line. The first `bytes` of a blob are told at once, what follows is summed up and told ten
 * times a second, and always before the next other event of the blob.
 */
export function jsonProgress(stream: OutputStream, clock: Clock): Progress {
  /** Bytes not told yet of each blob that told some in this period or the one before. */
  const untold = new Map<string, number>();
  let stopTimer: (() => void) | undefined;
  const print = (event: KitEvent): void => {
    stream.write(`${stringifyExact(event.type === 'retry' ? { ...event, cause: String(event.cause) } : event)}\n`);
  };
  const flush = (id: string): void => {
    const delta = untold.get(id) ?? 0;
    if (delta !== 0) print({ type: 'bytes', id, delta });
    if (delta === 0) untold.delete(id);
    else untold.set(id, 0);
  };
  const flushAll = (): void => {
    for (const id of untold.keys()) flush(id);
  };
  return {
    show(event) {
      if (event.type !== 'bytes') {
        if ('id' in event) flush(event.id);
        print(event);
        return;
      }
      const delta = untold.get(event.id);
      if (delta !== undefined) {
        untold.set(event.id, delta + event.delta);
        return;
      }
      print(event);
      untold.set(event.id, 0);
      stopTimer ??= clock.every(FLUSH_MS, flushAll);
    },
    stop() {
      stopTimer?.();
      stopTimer = undefined;
      flushAll();
      untold.clear();
    },
  };
}
