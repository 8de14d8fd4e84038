import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Names one run of one process, so that a file it left behind can be told from one that is in use. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly host: string;
  /** Where the pid has a meaning: boot and pid namespace on Linux, empty elsewhere. */
  readonly space: string;
  /** Start time in clock ticks since boot, where the system tells it: a pid that was used again has another. */
  readonly started: string;
}

let own: ProcessIdentity | undefined;

export function ownIdentity(): ProcessIdentity {
  own ??= { pid: process.pid, host: hostname(), space: pidSpace(), started: startTime(process.pid) };
  return own;
}

/** Undefined when it cannot be told from here: another host, or another pid namespace on this one. */
export function isRunning(identity: ProcessIdentity): boolean | undefined {
  const self = ownIdentity();
  if (identity.host !== self.host || identity.space !== self.space) return undefined;
  if (!exists(identity.pid)) return false;
  return identity.started === '' || startTime(identity.pid) === identity.started;
}

export function isProcessIdentity(value: unknown): value is ProcessIdentity {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, host, space, started } = value as Record<string, unknown>;
  return Number.isSafeInteger(pid) && Number(pid) > 0 && [host, space, started].every((field) => typeof field === 'string');
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, under another user
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // field 22; the command name before it may hold blanks and parentheses
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // a zombie was killed and holds nothing any more
    return fields[0] === 'Z' ? 'zombie' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

function pidSpace(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return '';
  }
}
