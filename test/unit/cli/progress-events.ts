import type { BlobAction, KitEvent } from '../../../src/events.ts';

export const MIB = 1024 * 1024;

export const blob = (id: string, total: number | undefined, label = id, action: BlobAction = 'push'): KitEvent => ({
  type: 'blob',
  id,
  action,
  label,
  total,
});
export const bytes = (id: string, delta: number): KitEvent => ({ type: 'bytes', id, delta });
export const done = (id: string, outcome: (KitEvent & { type: 'done' })['outcome'] = 'copied'): KitEvent => ({ type: 'done', id, outcome });
export const retry = (id: string, cause: unknown): KitEvent => ({ type: 'retry', id, attempt: 2, delayMs: 1500, cause });
export const warning = (message: string): KitEvent => ({ type: 'warning', code: 'TEST', message });
