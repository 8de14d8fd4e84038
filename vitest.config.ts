import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

// processes that are killed at random moments are part of the tests: in CI a second failure of one counts, here the first
const retry = process.env['CI'] ? 1 : 0;
/** Tests that mock a module, or look at the state of one. */
const ISOLATED = '**/*.isolated.test.ts';

const project = (name: string, include: string, testTimeout: number, isolate = true) => ({
  test: {
    name,
    include: [include],
    exclude: isolate ? configDefaults.exclude : [...configDefaults.exclude, ISOLATED],
    testTimeout,
    retry,
    isolate,
  },
});

export default defineConfig({
  test: {
    maxWorkers: availableParallelism(),
    projects: [
      // files that share their modules start in a third of the time
      project('unit', 'test/unit/**/*.test.ts', 20_000, false),
      project('isolated', `test/unit/${ISOLATED}`, 20_000),
      project('contract', 'test/contract/**/*.test.ts', 20_000, false),
      project('e2e', 'test/e2e/**/*.test.ts', 60_000),
      project('interop', 'test/interop/**/*.test.ts', 120_000),
    ],
  },
});
