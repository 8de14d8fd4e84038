import type { KitEvent } from '../../events.ts';
import { type GlobalFlags, LOG_LEVELS } from '../options/global.ts';
import { type Clock, systemClock } from './clock.ts';
import type { OutputStream } from './output-stream.ts';
import { message } from './plain-text.ts';
import { fancyProgress } from './progress-fancy.ts';
import { jsonProgress } from './progress-json.ts';
import { plainProgress } from './progress-plain.ts';
import { stderrStream } from './stderr.ts';

/** Shows events on stderr. */
export interface Progress {
  /** Cheap: it may be called thousands of times a second. */
  show(event: KitEvent): void;
  /** Ends the display, so that results can follow. */
  stop(): void;
}

type Style = NonNullable<GlobalFlags['progress']>;

/** The display that the user asked for, else the one that suits where stderr goes. */
export function createProgress(
  globals: GlobalFlags,
  env: NodeJS.ProcessEnv,
  stream: OutputStream = stderrStream(),
  clock: Clock = systemClock,
): Progress {
  const style = styleFor(globals.progress, env, stream);
  const display = createDisplay(style, env, stream, clock);
  const level = LOG_LEVELS.indexOf(globals.logLevel);
  const notes = style === 'json' || level <= LOG_LEVELS.indexOf('debug');
  const warns = style === 'json' || level <= LOG_LEVELS.indexOf('warn');
  return {
    show(event) {
      if (event.type === 'warning' ? warns : event.type !== 'note' || notes) display.show(event);
    },
    stop: () => display.stop(),
  };
}

function styleFor(asked: Style | undefined, env: NodeJS.ProcessEnv, stream: OutputStream): Style {
  const canDraw = stream.isTTY === true && env['TERM'] !== 'dumb';
  if (asked !== undefined) return asked === 'fancy' && !canDraw ? 'plain' : asked;
  // some CI systems give a terminal, but keep what it was sent
  if (env['CI']) return 'plain';
  if (stream.isTTY !== true) return 'none';
  return canDraw ? 'fancy' : 'plain';
}

function createDisplay(style: Style, env: NodeJS.ProcessEnv, stream: OutputStream, clock: Clock): Progress {
  if (style === 'fancy') return fancyProgress(stream, clock, env);
  if (style === 'plain') return plainProgress(stream, clock);
  if (style === 'json') return jsonProgress(stream, clock);
  return {
    show(event) {
      if (event.type === 'warning') stream.write(`warning: ${message(event.message)}\n`);
      if (event.type === 'note') stream.write(`${message(event.message)}\n`);
    },
    stop() {},
  };
}
