import { defineConfig } from 'vitest/config';

// processes that are killed at random moments are part of the tests: in CI a second failure of one counts, here the first
const retry = process.env['CI'] ? 1 : 0;
const project = (name: string, include: string, testTimeout: number) => ({ test: { name, include: [include], testTimeout, retry } });

export default defineConfig({
  test: {
    projects: [
      project('unit', 'test/unit/**/*.test.ts', 10_000),
      project('contract', 'test/contract/**/*.test.ts', 20_000),
      project('e2e', 'test/e2e/**/*.test.ts', 60_000),
      project('interop', 'test/interop/**/*.test.ts', 120_000),
    ],
  },
});
