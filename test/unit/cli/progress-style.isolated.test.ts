import { expect, test, vi } from 'vitest';
import type { GlobalFlags } from '../../../src/cli/options/global.ts';
import { createProgress } from '../../../src/cli/render/progress.ts';
import { ManualClock } from './manual-clock.ts';
import { blob, bytes, done, MIB, warning } from './progress-events.ts';

// as on a terminal with colours, wherever the tests run
vi.mock('chalk', async (original) => ({
  ...(await original<object>()),
  supportsColorStderr: { level: 1, hasBasic: true, has256: false, has16m: false },
}));

interface Setting {
  readonly asked?: GlobalFlags['progress'];
  readonly isTTY?: boolean;
  readonly env?: NodeJS.ProcessEnv;
}

function output({ asked, isTTY, env = {} }: Setting): string {
  const written: string[] = [];
  const clock = new ManualClock();
  const globals: GlobalFlags = { logLevel: 'info', ...(asked !== undefined && { progress: asked }) };
  const progress = createProgress(globals, env, { isTTY, columns: 80, rows: 24, write: (text) => written.push(text) }, clock);
  progress.show(blob('a', MIB, 'a'));
  progress.show(bytes('a', MIB));
  clock.advance(100);
  progress.show(warning('w'));
  progress.show(done('a'));
  progress.stop();
  return written.join('');
}

function styleOf(setting: Setting): string {
  const text = output(setting);
  if (text.includes('\u001B[?25l')) return 'fancy';
  if (text.startsWith('{')) return 'json';
  return text.includes('pushed a') ? 'plain' : 'none';
}

test.each<[string, Setting]>([
  ['fancy', { isTTY: true }],
  ['fancy', { isTTY: true, env: { CI: '', TERM: 'xterm' } }],
  ['plain', { isTTY: true, env: { TERM: 'dumb' } }],
  ['plain', { isTTY: true, env: { CI: 'true' } }],
  ['plain', { env: { CI: 'true' } }],
  ['none', {}],
  ['none', { env: { TERM: 'dumb' } }],
  ['fancy', { asked: 'fancy', isTTY: true, env: { CI: 'true' } }],
  ['plain', { asked: 'fancy' }],
  ['plain', { asked: 'fancy', isTTY: true, env: { TERM: 'dumb' } }],
  ['plain', { asked: 'plain', isTTY: true }],
  ['json', { asked: 'json', isTTY: true }],
  ['none', { asked: 'none', isTTY: true }],
  ['none', { asked: 'none', env: { CI: 'true' } }],
])('%s for %o', (style, setting) => {
  expect(styleOf(setting)).toBe(style);
});

test('colours on a terminal, unless NO_COLOR is set, and never in logs', () => {
  expect(output({ isTTY: true })).toContain('\u001B[32mpushed\u001B[39m a');
  expect(output({ isTTY: true })).toContain('\u001B[33mwarning\u001B[39m: w');
  expect(output({ isTTY: true, env: { NO_COLOR: '' } })).toContain('\u001B[32m');
  expect(output({ isTTY: true, env: { NO_COLOR: '1' } })).not.toContain('\u001B[3');
  expect(output({ asked: 'plain', isTTY: true })).not.toContain('\u001B');
});
