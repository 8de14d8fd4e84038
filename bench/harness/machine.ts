import { readFileSync, realpathSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type as systemName } from 'node:os';

/** Cores, processor, memory, kernel, file system of `dir` and Node, in a line. */
export function describeMachine(dir: string): string {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB of memory`;
  const processor = `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'})`;
  return [processor, memory, `${systemName()} ${release()}`, `${fileSystem(dir)} at ${dir}`, `Node ${process.version}`].join(', ');
}

/** Type of the file system that `dir` is on, as mount(8) names it. */
function fileSystem(dir: string): string {
  try {
    const path = realpathSync(dir);
    const mounts = readFileSync('/proc/self/mounts', 'utf8').trim().split('\n');
    const on = mounts.map((line) => line.split(' ')).filter(([, point = '']) => isBelow(path, point));
    // the longest mount point is the one, and of two at the same place the later
    const nearest = on.toSorted((a, b) => (a[1] ?? '').length - (b[1] ?? '').length).at(-1);
    return nearest?.[2] ?? 'unknown file system';
  } catch {
    return 'unknown file system';
  }
}

function isBelow(path: string, point: string): boolean {
  return point === '/' || path === point || path.startsWith(`${point}/`);
}
