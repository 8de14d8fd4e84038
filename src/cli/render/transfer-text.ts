import type { BlobAction, KitEvent } from '../../events.ts';
import { singleLine } from './plain-text.ts';
import { formatBytes } from './text.ts';
import type { Transfer, Transfers } from './transfers.ts';

const DONE: Readonly<Record<BlobAction, string>> = { hash: 'hashed', pack: 'packed', push: 'pushed', pull: 'pulled', unpack: 'unpacked' };
/** Smaller blobs say nothing about throughput. */
const MIN_BYTES_OF_RATE = 1024 * 1024;

/** What became of a blob, for example `pushed model weights.bin 1.2 GiB in 3.1 s (396.3 MiB/s)`: the first word, and the others. */
export function doneText(transfer: Transfer, outcome: (KitEvent & { type: 'done' })['outcome'], now: number): [string, string] {
  const size = transfer.total ?? transfer.position;
  const what = `${transfer.label} ${formatBytes(Math.max(0, size))}`;
  if (outcome !== 'copied') return [outcome, what];
  const seconds = (now - transfer.startedAt) / 1000;
  const isLarge = size >= MIN_BYTES_OF_RATE;
  const rate = isLarge && transfer.moved > 0 && seconds > 0 ? ` (${formatRate(transfer.moved / seconds)})` : '';
  return [DONE[transfer.action], isLarge || seconds >= 1 ? `${what} in ${formatSeconds(seconds)}${rate}` : what];
}

/** An attempt that is repeated: the first word, and the others. */
export function retryText(event: KitEvent & { type: 'retry' }, transfer: Transfer | undefined): [string, string] {
  const what = transfer?.label ?? singleLine(event.id);
  const cause = singleLine(event.cause instanceof Error ? event.cause.message : String(event.cause));
  return ['retry', `${what} in ${formatSeconds(event.delayMs / 1000)} (attempt ${event.attempt}): ${cause}`];
}

/** All blobs together: counts, bytes, rate, time left. */
export function totalParts({ done, known, position, total, rate }: Transfers): string[] {
  const bytes = formatBytes(Math.max(0, position));
  const left = timeLeft(position, total, rate.perSecond);
  const amount = total === undefined || position > total ? bytes : `${bytes} of ${formatBytes(total)}`;
  return [`${done}/${known} blobs`, amount, formatRate(rate.perSecond), ...(left === '' ? [] : [left])];
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(Math.round(bytesPerSecond))}/s`;
}

/** Empty when it cannot be told. */
export function timeLeft(position: number, total: number | undefined, bytesPerSecond: number): string {
  if (total === undefined || position >= total || bytesPerSecond <= 0) return '';
  return `${formatDuration(Math.ceil((total - position) / bytesPerSecond))} left`;
}

function formatSeconds(seconds: number): string {
  return seconds < 59.95 ? `${seconds.toFixed(1)} s` : formatDuration(Math.round(seconds));
}

/** Whole seconds in the two units that matter: `7 s`, `1m39s`, `2h14m`, `3d4h`. */
function formatDuration(seconds: number): string {
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86_400)];
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return `${minutes}m${seconds % 60}s`;
  if (days === 0) return `${hours}h${minutes % 60}m`;
  return days < 100 ? `${days}d${hours % 24}h` : 'over 99d';
}
