import type { KitEvent } from '../../events.ts';
import { type GlobalFlags, LOG_LEVELS } from '../options/global.ts';
import { stringifyExact } from '../../oci/json.ts';
import { formatBytes, printMessage } from './text.ts';

/** Shows events on stderr. */
export interface Progress {
  show(event: KitEvent): void;
  /** Ends the display, so that results can follow. */
  stop(): void;
}

export function createProgress(globals: GlobalFlags, env: NodeJS.ProcessEnv): Progress {
  const style = globals.progress ?? (process.stderr.isTTY && !env['CI'] ? 'fancy' : 'none');
  const display = style === 'json' ? jsonLines() : style === 'fancy' ? statusLine() : style === 'plain' ? plainLines() : silent();
  const warns = LOG_LEVELS.indexOf(globals.logLevel) <= LOG_LEVELS.indexOf('warn');
  return {
    show(event) {
      if (event.type === 'warning' && style !== 'json') {
        display.stop();
        if (warns) printMessage(`warning: ${event.message}`);
      } else display.show(event);
    },
    stop: () => display.stop(),
  };
}

function silent(): Progress {
  return { show() {}, stop() {} };
}

function jsonLines(): Progress {
  return {
    show(event) {
      printMessage(stringifyExact(event.type === 'retry' ? { ...event, cause: String(event.cause) } : event));
    },
    stop() {},
  };
}

/** A line when a blob begins and when it ends: for logs. */
function plainLines(): Progress {
  const labels = new Map<string, string>();
  return {
    show(event) {
      if (event.type === 'blob') {
        labels.set(event.id, event.label);
        printMessage(`${event.action} ${event.label}${event.total === undefined ? '' : ` (${formatBytes(event.total)})`}`);
      }
      if (event.type === 'done') printMessage(`${event.outcome} ${labels.get(event.id) ?? event.id}`);
      if (event.type === 'retry')
        printMessage(`retry ${labels.get(event.id) ?? event.id}: attempt ${event.attempt} in ${event.delayMs} ms`);
    },
    stop() {},
  };
}

const REDRAW_MS = 100;

/** One line that is redrawn: blobs done, bytes, rate. */
function statusLine(): Progress {
  const totals = new Map<string, number>();
  const finished = new Set<string>();
  const started = performance.now();
  let bytes = 0;
  let drawn = 0;
  const draw = (): void => {
    drawn = performance.now();
    const total = totals.values().reduce((sum, size) => sum + size, 0);
    const rate = bytes / Math.max(0.001, (drawn - started) / 1000);
    const left = rate > 0 && total > bytes ? `, ${Math.ceil((total - bytes) / rate)} s left` : '';
    process.stderr.write(
      `\r\u001B[K${finished.size}/${totals.size} blobs, ${formatBytes(bytes)} of ${formatBytes(total)}, ${formatBytes(rate)}/s${left}`,
    );
  };
  return {
    show(event) {
      if (event.type === 'blob') totals.set(event.id, event.total ?? 0);
      if (event.type === 'bytes') bytes += event.delta;
      if (event.type === 'done') {
        finished.add(event.id);
        if (event.outcome !== 'copied') totals.set(event.id, 0);
      }
      if (performance.now() - drawn > REDRAW_MS) draw();
    },
    stop() {
      if (drawn > 0) process.stderr.write('\r\u001B[K');
      drawn = 0;
    },
  };
}
