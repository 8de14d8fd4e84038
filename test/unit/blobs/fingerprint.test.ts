import { chmodSync, mkdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FileStamp } from '../../../src/blobs/file-stamp.ts';
import { type LayerInputs, layerFingerprint } from '../../../src/blobs/fingerprint.ts';
import { tarLayer } from '../../../src/blobs/layer.ts';
import { encodeTarHeader } from '../../../src/blobs/tar-header.ts';
import { openContext, type WalkEntry, walkLayer } from '../../../src/blobs/walk.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { collect, temporaryDirectory } from './workspace.ts';

const STAMP: FileStamp = { device: 1n, inode: 2n, size: 5, mtimeNs: 3n, ctimeNs: 4n };
const FILE: WalkEntry = { path: 'a/b', type: 'file', mode: 0o644, size: 5, source: '/x/a/b', stamp: STAMP };
const FOLDER: WalkEntry = { path: 'a', type: 'directory', mode: 0o755, size: 0, source: '/x/a', stamp: STAMP };
const LAYER: LayerInputs = { encoding: 'tar', compression: 'none', entries: [FOLDER, FILE] };

function stamped(change: Partial<FileStamp>): LayerInputs {
  return { ...LAYER, entries: [FOLDER, { ...FILE, stamp: { ...STAMP, ...change } }] };
}

test('everything that the bytes depend on is in it', () => {
  const layers: LayerInputs[] = [
    LAYER,
    stamped({ device: 9n }),
    stamped({ inode: 9n }),
    stamped({ size: 9 }),
    stamped({ mtimeNs: 9n }),
    stamped({ ctimeNs: 9n }),
    { ...LAYER, entries: [FOLDER, { ...FILE, path: 'a/c' }] },
    { ...LAYER, entries: [FOLDER, { ...FILE, mode: 0o600 }] },
    { ...LAYER, entries: [{ ...FOLDER, mode: 0o700 }, FILE] },
    { ...LAYER, entries: [FOLDER, { ...FILE, type: 'directory' }] },
    { ...LAYER, entries: [FILE, FOLDER] },
    { ...LAYER, entries: [FILE] },
    { ...LAYER, entries: [] },
    { ...LAYER, compression: 'gzip' },
    { ...LAYER, compression: 'gzip-fastest' },
    { ...LAYER, compression: 'zstd' },
    { encoding: 'raw', compression: 'none', entries: [FILE] },
  ];
  expect(new Set(layers.map(layerFingerprint)).size).toBe(layers.length);
  expect(layerFingerprint(structuredClone(LAYER))).toBe(layerFingerprint(LAYER));
});

test('what the bytes do not depend on is not', () => {
  const same = layerFingerprint({
    ...LAYER,
    entries: [
      { ...FOLDER, stamp: { ...STAMP, mtimeNs: 9n } },
      { ...FILE, source: '/y' },
    ],
  });
  expect(same).toBe(layerFingerprint(LAYER));
  const raw: LayerInputs = { encoding: 'raw', compression: 'none', entries: [FILE] };
  expect(layerFingerprint({ ...raw, entries: [{ ...FILE, path: 'other', mode: 0o755 }] })).toBe(layerFingerprint(raw));
});

test('names with line breaks cannot pass for other entries', () => {
  const line = `a\nfile 420 "b" 1 2 5 3 4`;
  const one: LayerInputs = { ...LAYER, entries: [{ ...FILE, path: line }] };
  const two: LayerInputs = {
    ...LAYER,
    entries: [
      { ...FILE, path: 'a' },
      { ...FILE, path: 'b' },
    ],
  };
  expect(layerFingerprint(one)).not.toBe(layerFingerprint(two));
});

test('a renamed, replaced or touched file has another', () => {
  const root = temporaryDirectory();
  const now = (): string => layerFingerprint({ ...LAYER, entries: walkLayer(openContext(root), '.', () => 'keep') });
  mkdirSync(join(root, 'd'));
  writeFileSync(join(root, 'd/file'), 'one');
  utimesSync(join(root, 'd/file'), 1000, 1000);
  const seen = [now()];
  expect(now()).toBe(seen[0]);
  const changed = (change: () => void): void => {
    change();
    expect(seen).not.toContain(now());
    seen.push(now());
  };
  changed(() => renameSync(join(root, 'd/file'), join(root, 'd/moved')));
  changed(() => {
    writeFileSync(join(root, 'new'), 'two');
    utimesSync(join(root, 'new'), 1000, 1000);
    renameSync(join(root, 'new'), join(root, 'd/moved'));
  });
  changed(() => chmodSync(join(root, 'd/moved'), 0o600));
  changed(() => chmodSync(join(root, 'd'), 0o700));
});

test('it stands for the layout of today: when this digest changes, LAYOUT in fingerprint.ts must be raised', async () => {
  const long = { ...FOLDER, path: `${'é'.repeat(80)}/${'x'.repeat(120)}` };
  const empty = { ...FILE, size: 0, stamp: { ...STAMP, size: 0 } };
  const bytes = await collect(tarLayer([FOLDER, empty, long]).open());
  const large = encodeTarHeader({ ...FILE, size: 2 ** 34 });
  expect(digestOf(Buffer.concat([bytes, large]))).toMatchInlineSnapshot(
    `"sha256:38789082c2e66bcc7183a56075cf98ff789a8840df1cce925e8b9748a7a213b6"`,
  );
});
