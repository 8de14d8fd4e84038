import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import * as fc from 'fast-check';
import { extract } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import { readIgnoreFile } from '../../../src/blobs/ignore.ts';
import { rawLayer, tarLayer } from '../../../src/blobs/layer.ts';
import { isWithin } from '../../../src/blobs/safe-path.ts';
import { openContext, type WalkEntry, walkLayer } from '../../../src/blobs/walk.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { collect, GOLDEN, goldenContext, temporaryDirectory } from './workspace.ts';

const LAYERS = [
  'weights',
  'config.json',
  'tokenizer.json',
  'gguf/tiny-golden-F32.gguf',
  'src',
  'data/train.csv',
  'data-v2',
  'README.md',
  'LICENSE',
  'docs',
];

interface GoldenManifest {
  readonly tag?: string;
  readonly layers: readonly { readonly digest: string; readonly size: number }[];
}

const DIGESTS = JSON.parse(readFileSync(join(GOLDEN, 'digests.json'), 'utf8')) as Record<string, Record<string, GoldenManifest>>;

async function goldenEntries(context: string, layer: string): Promise<WalkEntry[]> {
  const ignore = await readIgnoreFile(context, ['Kitfile', '.kitignore']);
  const others = LAYERS.filter((path) => path !== layer && isWithin(path, layer));
  return walkLayer(openContext(context), layer, (path) => (others.includes(path) || ignore.ignores(path) ? 'skip' : 'keep'));
}

test('the layers of the golden input are those of KitOps, byte for byte', async () => {
  const context = goldenContext();
  const packed = await Promise.all(
    LAYERS.map(async (layer) => {
      const source = tarLayer(await goldenEntries(context, layer));
      const bytes = await collect(source.open());
      expect(bytes.byteLength).toBe(source.size);
      return digestOf(bytes);
    }),
  );
  const golden = Object.values(DIGESTS['kit-modelkit-tar'] ?? {}).find((manifest) => manifest.tag === 'v1');
  expect(packed).toEqual(golden?.layers.map(({ digest }) => digest));
});

test('the mode of a file is part of its layer', async () => {
  const context = goldenContext();
  const before = digestOf(await collect(tarLayer(await goldenEntries(context, 'README.md')).open()));
  chmodSync(join(context, 'README.md'), 0o600);
  expect(digestOf(await collect(tarLayer(await goldenEntries(context, 'README.md')).open()))).not.toBe(before);
});

test('a layer without entries is two zero blocks, as KitOps writes it', async () => {
  const bytes = await collect(tarLayer([]).open());
  expect(bytes).toEqual(Buffer.alloc(1024));
});

test('a raw layer is the file itself', async () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'full'), 'content');
  writeFileSync(join(directory, 'empty'), '');
  const [empty, full] = walkLayer(openContext(directory), '.', () => 'keep') as [WalkEntry, WalkEntry];
  expect((await collect(rawLayer(full).open())).toString()).toBe('content');
  expect(rawLayer(empty).size).toBe(0);
  expect(await collect(rawLayer(empty).open())).toHaveLength(0);
});

const NAME = fc.oneof(
  fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }),
  fc.string({ minLength: 90, maxLength: 130, unit: fc.constantFrom('x', '-', 'é') }),
);
const PATH = fc
  .array(NAME, { minLength: 1, maxLength: 4 })
  .map((names) => names.map((name) => name.replaceAll(/[/\\\0]|^\.{1,2}$/g, '_')).join('/'))
  .filter((path) => path.split('/').every((name) => Buffer.byteLength(name) <= 255));
const TREE = fc.dictionary(PATH, fc.record({ content: fc.uint8Array({ maxLength: 2000 }), mode: fc.constantFrom(0o644, 0o755, 0o600) }), {
  maxKeys: 8,
});

describe('other readers', () => {
  test('tar-stream reads any tree as it was', async () => {
    await fc.assert(
      fc.asyncProperty(TREE, async (tree) => {
        const directory = temporaryDirectory();
        const written = new Map<string, Uint8Array>();
        for (const [path, { content, mode }] of Object.entries(tree)) {
          try {
            mkdirSync(dirname(join(directory, path)), { recursive: true });
            writeFileSync(join(directory, path), content, { flag: 'wx', mode });
            written.set(path, content);
          } catch {
            // the name of a directory, or of a file that is one for another path
          }
        }
        const entries = walkLayer(openContext(directory), '.', () => 'keep');
        const read = new Map<string, Uint8Array>();
        const tar = extract();
        Readable.from(tarLayer(entries).open()).pipe(tar);
        const names: string[] = [];
        for await (const entry of tar) {
          names.push(entry.header.name);
          const content = await collect(entry as AsyncIterable<Buffer>);
          if (entry.header.type === 'file') read.set(entry.header.name, new Uint8Array(content));
        }
        expect(names.map((name) => name.replace(/\/$/, ''))).toEqual(entries.map(({ path }) => path));
        expect(read).toEqual(new Map([...written].toSorted(([a], [b]) => names.indexOf(a) - names.indexOf(b))));
      }),
      { numRuns: 60 },
    );
  });

  test('GNU tar lists and extracts it', async () => {
    const context = goldenContext();
    const out = temporaryDirectory();
    const entries = await goldenEntries(context, 'src');
    const input = await collect(tarLayer(entries).open());
    const listed = execFileSync('tar', ['--numeric-owner', '--utc', '--full-time', '-tvf', '-'], { input }).toString();
    expect(listed).toMatch(/^drwxr-xr-x 1000\/0 +0 1970-01-01 00:00:00 src\/?$/m);
    expect(listed).toMatch(/^-rwxr-xr-x 1000\/0 +\d+ 1970-01-01 00:00:00 src\/run\.sh$/m);
    execFileSync('tar', ['-xf', '-', '-C', out], { input });
    const files = entries.filter(({ type }) => type === 'file');
    for (const { path } of files) expect(readFileSync(join(out, path))).toEqual(readFileSync(join(context, path)));
  });
});
