import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..', '..', 'src');

/** Layers from the top: a file may import from its own folder and from layers further down. */
const LAYERS: readonly (readonly string[])[] = [
  ['cli'],
  ['index'],
  ['operations'],
  ['policy'],
  ['formats', 'signing', 'server', 'targets', 'hub', 'sbom', 'catalog', 'provenance'],
  ['registry', 'blobs', 'kitfile', 'model-files'],
  ['oci'],
  ['errors', 'events', 'blob-source', 'tapped', 'chunk', 'byte-thread', 'byte-work', 'move', 'time-limit', 'home-directory'],
];
/** What may import a peer in its own layer. */
const PEERS: readonly string[] = ['signing -> targets', 'server -> targets', 'catalog -> targets'];
/** Packages and built-in modules that one folder keeps to itself. */
const FENCES: Readonly<Record<string, string>> = {
  commander: 'cli',
  chalk: 'cli',
  undici: 'registry',
  sigstore: 'signing',
  'node:zlib': 'blobs',
  'tar-stream': 'blobs',
  'js-yaml': 'kitfile',
  'smol-toml': 'registry',
  '@noble/ciphers': 'signing',
  '@sigstore/bundle': 'signing',
  '@sigstore/core': 'signing',
  '@sigstore/protobuf-specs': 'signing',
  '@sigstore/sign': 'signing',
  '@sigstore/tuf': 'signing',
  '@sigstore/verify': 'signing',
  '@aws-sdk/client-s3': 'hub',
  bcryptjs: 'server',
  'node:sqlite': 'catalog',
  pg: 'catalog',
};

/** `@scope/name/sub` and `name/sub` stand behind the fence of their package. */
function fenceOf(specifier: string): string | undefined {
  return (
    FENCES[specifier] ??
    FENCES[
      specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/')
    ]
  );
}

interface Import {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const folderOf = (path: string): string => (path.split('/')[0] ?? '').replace(/\.ts$/, '');
const layerOf = (folder: string): number => LAYERS.findIndex((layer) => layer.includes(folder));

const imports = files.flatMap((file): Import[] => {
  const source = readFileSync(join(root, file), 'utf8');
  const matches = source.matchAll(/^(?:import|export)\s+(?:type\s)?[^;]*?from\s+'([^']+)'|import\('([^']+)'\)/gms);
  return [...matches].map(([, specifier, dynamic]) => {
    const target = specifier ?? dynamic ?? '';
    const to = target.startsWith('.') ? relative(root, join(root, dirname(file), target)) : target;
    return { file, from: folderOf(file), to };
  });
});

describe('imports go down only', () => {
  test('every folder has its place', () => {
    expect(files.map(folderOf).filter((folder) => layerOf(folder) === -1)).toEqual([]);
    expect(imports.length).toBeGreaterThan(100);
  });

  test('no file imports upwards or sideways', () => {
    const wrong = imports.filter(({ from, to }) => {
      if (!to.endsWith('.ts')) return false;
      const [upper, lower] = [layerOf(from), layerOf(folderOf(to))];
      const pair = `${from} -> ${folderOf(to)}`;
      const isPeer = upper === lower && PEERS.includes(pair);
      // the two leaves of the tree know each other, and index is what cli is built on
      return !(from === folderOf(to) || lower > upper || isPeer || lower === LAYERS.length - 1);
    });
    expect(wrong.map(({ file, to }) => `${file} imports ${to}`)).toEqual([]);
  });

  test('the folders of operations know each other in no circle', () => {
    const edges = new Map<string, Set<string>>();
    for (const { file, to } of imports) {
      const [from, target] = [file, to].map((path) => path.split('/').slice(0, 2).join('/'));
      if (!file.startsWith('operations/') || !to.startsWith('operations/') || from === target) continue;
      edges.set(from ?? '', (edges.get(from ?? '') ?? new Set()).add(target ?? ''));
    }
    const circles: string[] = [];
    const settled = new Set<string>();
    const visit = (folder: string, path: readonly string[]): void => {
      if (path.includes(folder)) circles.push([...path, folder].join(' -> '));
      if (path.includes(folder) || settled.has(folder)) return;
      for (const next of edges.get(folder) ?? []) visit(next, [...path, folder]);
      settled.add(folder);
    };
    for (const folder of edges.keys()) visit(folder, []);
    expect(edges.size).toBeGreaterThan(15);
    expect(circles).toEqual([]);
  });

  test('packages stay behind their fences', () => {
    const wrong = imports.filter(({ from, to }) => fenceOf(to) !== undefined && fenceOf(to) !== from);
    expect(wrong.map(({ file, to }) => `${file} imports ${to}`)).toEqual([]);
  });

  test('only the command line touches the terminal', () => {
    const wrong = files.filter(
      (file) => folderOf(file) !== 'cli' && /process\.(stdout|stderr|stdin|argv|exit)/.test(readFileSync(join(root, file), 'utf8')),
    );
    expect(wrong).toEqual([]);
  });
});
