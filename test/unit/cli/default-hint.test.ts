import { expect, onTestFinished, test, vi } from 'vitest';
import { DEFAULT_HINTS } from '../../../src/cli/render/default-hint.ts';
import { reportError } from '../../../src/cli/render/report.ts';
import { CODES, type ErrorCode, KitError } from '../../../src/errors.ts';

function printed(error: unknown): string {
  const lines: string[] = [];
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  onTestFinished(() => write.mockRestore());
  reportError(error, { NO_COLOR: '1' });
  write.mockRestore();
  return lines.join('');
}

test.each(Object.keys(CODES) as ErrorCode[])('%s is never told about without what to do', (code) => {
  if (code === 'INTERRUPTED') return;
  const hint = DEFAULT_HINTS[code];
  expect(hint).not.toMatch(/^$|\.$/);
  expect(printed(new KitError(code, 'what was wrong'))).toContain(`hint: ${hint}`);
});

test('what the error says itself comes first', () => {
  expect(printed(new KitError('NETWORK', 'x', { hint: 'plug it in' }))).toContain('hint: plug it in');
});
