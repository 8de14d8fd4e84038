import { statfsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

// processes that are killed at random moments are part of the tests: in CI a second failure of one counts, here the first
const retry = process.env['CI'] ? 1 : 0;
/** Tests that mock a module, or look at the state of one. */
const ISOLATED = '**/*.isolated.test.ts';
const MEMORY = '/dev/shm';
/** What is there at once are some MiB. */
const MEMORY_BYTES = 512 * 1024 ** 2;

const project = (name: string, include: string, { testTimeout = 20_000, isolate = true, isSlow = false }) => ({
  test: {
    name,
    include: [include],
    exclude: isolate ? configDefaults.exclude : [...configDefaults.exclude, ISOLATED],
    testTimeout,
    retry,
    isolate,
    // what is quick waits for servers, timers and disks half of its time; what is slow keeps the processors busy with programs
    maxWorkers: availableParallelism() + (isSlow ? 0 : 2),
    sequence: { groupOrder: isSlow ? 1 : 0 },
  },
});

/** Files that share their modules start in a third of the time; what they write is flushed to memory, where there is enough of it. */
const shared = (name: string, include: string) => {
  const { test } = project(name, include, { isolate: false });
  const env: Record<string, string> = process.env['TMPDIR'] === undefined && hasMemory() ? { TMPDIR: MEMORY } : {};
  return { test: { ...test, env, setupFiles: ['test/support/byte-equality.ts'] } };
};

function hasMemory(): boolean {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize > MEMORY_BYTES;
  } catch {
    return false;
  }
}

export default defineConfig({
  test: {
    projects: [
      shared('unit', 'test/unit/**/*.test.ts'),
      project('isolated', `test/unit/${ISOLATED}`, {}),
      shared('contract', 'test/contract/**/*.test.ts'),
      project('e2e', 'test/e2e/**/*.test.ts', { testTimeout: 60_000, isSlow: true }),
      project('interop', 'test/interop/**/*.test.ts', { testTimeout: 120_000, isSlow: true }),
    ],
  },
});
