import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { defineConfig, type Plugin, type RolldownOptions } from 'rolldown';

const { version, dependencies } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')) as {
  version: string;
  dependencies: Record<string, string>;
};

/** What the command line needs for its daily work: each file that is looked up, read and linked takes time. */
const BUNDLED: ReadonlySet<string> = new Set(['chalk', 'commander', 'js-yaml', 'undici', 'zod']);
/** The library leaves to the package manager what the program that uses it may have, too. */
const BUNDLED_IN_LIBRARY: ReadonlySet<string> = new Set(['zod']);

function external(bundled: ReadonlySet<string>): (string | RegExp)[] {
  return Object.keys(dependencies)
    .filter((name) => !bundled.has(name))
    .flatMap((name) => [name, new RegExp(`^${name}/`)]);
}

/** What every command needs, in one file. */
const CORE =
  /\/commander\/|\/src\/(?:errors|oci\/json|cli\/(?:arguments|commands|options\/(?:format|global|network)|render\/(?:stdout|text))|operations\/version)\.[jt]s$/;

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

// commander starts other programs for commands that are files of their own, of which we have none
const LAZY_CHILD_PROCESS = "export default { spawn: (...args) => process.getBuiltinModule('node:child_process').spawn(...args) };";

const lazyChildProcess: Plugin = {
  name: 'lazy-child-process',
  resolveId: (source, importer) => (source === 'node:child_process' && importer?.includes('/commander/') === true ? '\0child' : null),
  load: (id) => (id === '\0child' ? LAZY_CHILD_PROCESS : null),
};

// of undici what is used here, as its own index.js puts it together: its fetch, caches and mocks take most of its start
const SLIM_UNDICI = `
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import request from 'undici/lib/api/api-request.js';
Object.assign(Dispatcher.prototype, { request });
export { default as ProxyAgent } from 'undici/lib/dispatcher/proxy-agent.js';
`;
// connections are opened with `allowH2: false`
const NO_HTTP2 = "module.exports = () => { throw new Error('HTTP/2 is left out'); };";

const slimUndici: Plugin = {
  name: 'slim-undici',
  resolveId: (source) => (source === 'undici' ? '\0undici' : null),
  load: (id) => {
    if (id === '\0undici') return SLIM_UNDICI;
    return id.endsWith('/undici/lib/dispatcher/client-h2.js') ? NO_HTTP2 : null;
  },
};

/** Puts the licences of what is bundled beside it. */
const licences: Plugin = {
  name: 'licences',
  generateBundle(_options, bundle) {
    const modules = Object.values(bundle).flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
    const folders = new Set(modules.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []));
    const texts = [...folders].toSorted().map((folder) => {
      const { name, version: bundled } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')) as { name: string; version: string };
      return `${name} ${bundled}\n\n${readLicence(folder)}`;
    });
    this.emitFile({ type: 'asset', fileName: 'third-party-licenses.txt', source: `${texts.join('\n\n---\n\n')}\n` });
  },
};

function readLicence(folder: string): string {
  for (const name of ['LICENSE', 'license', 'LICENSE.md']) {
    try {
      return readFileSync(`${folder}/${name}`, 'utf8').trim();
    } catch {
      // under another name
    }
  }
  throw new Error(`${folder} has no licence`);
}

const common: RolldownOptions = {
  platform: 'node',
  plugins: [lazyChildProcess, licences],
  transform: {
    define: {
      OCIKIT_VERSION: JSON.stringify(version),
      OCIKIT_COMMIT: JSON.stringify(git('rev-parse', 'HEAD')),
      OCIKIT_BUILT: JSON.stringify(git('log', '-1', '--format=%cI')),
    },
  },
};

export default defineConfig([
  {
    ...common,
    external: external(BUNDLED_IN_LIBRARY),
    input: { index: 'src/index.ts' },
    output: { dir: 'dist', format: 'esm', cleanDir: true, chunkFileNames: 'chunks/[name]-[hash].js' },
  },
  {
    ...common,
    plugins: [lazyChildProcess, slimUndici, licences],
    external: external(BUNDLED),
    input: { main: 'src/cli/main.ts' },
    // CommonJS starts 10 ms sooner than ES modules; names without a hash let the next version replace this one's compile cache
    output: {
      dir: 'dist/cli',
      format: 'cjs',
      cleanDir: true,
      entryFileNames: '[name].cjs',
      chunkFileNames: 'chunks/[name].cjs',
      codeSplitting: { groups: [{ name: 'core', test: CORE }] },
    },
  },
]);
