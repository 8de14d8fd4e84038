import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { defineConfig } from 'rolldown';

const { version, dependencies } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')) as {
  version: string;
  dependencies: Record<string, string>;
};

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

export default defineConfig({
  input: { index: 'src/index.ts', 'cli/main': 'src/cli/main.ts' },
  platform: 'node',
  external: Object.keys(dependencies)
    .filter((name) => name !== 'zod')
    .flatMap((name) => [name, new RegExp(`^${name}/`)]),
  transform: {
    define: {
      OCIKIT_VERSION: JSON.stringify(version),
      OCIKIT_COMMIT: JSON.stringify(git('rev-parse', 'HEAD')),
      OCIKIT_BUILT: JSON.stringify(git('log', '-1', '--format=%cI')),
    },
  },
  output: { dir: 'dist', format: 'esm', cleanDir: true, chunkFileNames: 'chunks/[name]-[hash].js' },
});
