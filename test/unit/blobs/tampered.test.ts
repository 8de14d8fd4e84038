import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Compression, decompress } from '../../../src/blobs/compress.ts';
import { extractTar } from '../../../src/blobs/extract.ts';
import { Staging } from '../../../src/blobs/staging.ts';
import { verified } from '../../../src/blobs/verified.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import { loadManifest, readBlob } from '../../support/golden-layout.ts';
import { Chunks, openFiles, paths, temporaryDirectory } from './workspace.ts';

/** Extracts the layers of a damaged artifact into `a/b/out`; returns that directory. */
async function extractCase(name: string, root: string): Promise<string> {
  const out = join(root, 'a/b/out');
  mkdirSync(out, { recursive: true });
  writeFileSync(join(root, 'a/b/outside.txt'), 'outside\n');
  const staging = new Staging(out, 'fail');
  try {
    for (const layer of loadManifest(`tampered/${name}`).layers) {
      const compression: Compression = layer.mediaType.endsWith('+gzip') ? 'gzip' : 'none';
      const source = new Chunks(readBlob(`tampered/${name}`, layer), 1000);
      await extractTar(decompress(verified(source, layer), compression, layer.digest), staging, { layer: layer.digest });
    }
    staging.commit();
  } finally {
    await staging.discard();
  }
  return out;
}

const REFUSED: Readonly<Record<string, ErrorCode>> = {
  'blob-layer-bitflip': 'DIGEST_MISMATCH',
  'blob-layer-truncated': 'SIZE_MISMATCH',
  'size-layer-lies-small': 'SIZE_MISMATCH',
  'size-layer-lies-huge': 'SIZE_MISMATCH',
  'tar-absolute': 'UNSAFE_PATH',
  'tar-backslash': 'UNSAFE_PATH',
  'tar-bad-checksum': 'LAYER_INVALID',
  'tar-device': 'UNSAFE_ENTRY',
  'tar-dotdot': 'UNSAFE_PATH',
  'tar-dotdot-inside': 'UNSAFE_PATH',
  'tar-duplicate-name': 'UNSAFE_ENTRY',
  'tar-file-as-dir': 'UNSAFE_ENTRY',
  'tar-hardlink-outside': 'UNSAFE_ENTRY',
  'tar-pax-path': 'UNSAFE_PATH',
  'tar-symlink-dir': 'UNSAFE_ENTRY',
  'tar-symlink-file': 'UNSAFE_ENTRY',
  'tar-truncated': 'LAYER_INVALID',
  'gzip-mislabelled': 'LAYER_INVALID',
  'gzip-truncated': 'LAYER_INVALID',
};

describe('the damaged layers of the golden artifacts', () => {
  test.each(Object.entries(REFUSED))('%s is refused as %s and leaves nothing', async (name, code) => {
    const root = temporaryDirectory();
    await expect(extractCase(name, root)).rejects.toMatchObject({ code });
    expect(paths(root)).toEqual(['a', 'a/b', 'a/b/out', 'a/b/outside.txt']);
    expect(readFileSync(join(root, 'a/b/outside.txt'), 'utf8')).toBe('outside\n');
    expect(existsSync('/kit-golden-evil.txt')).toBe(false);
    expect(openFiles(root)).toEqual([]);
  });

  test.each(['00-clean', '00-clean-gzip'])('%s is extracted', async (name) => {
    const out = await extractCase(name, temporaryDirectory());
    expect(paths(out)).toEqual(['w', 'w/model.bin']);
    expect(readFileSync(join(out, 'w/model.bin'), 'utf8')).toBe('good model bytes\n');
  });

  test('tar-setuid loses the bit', async () => {
    const out = await extractCase('tar-setuid', temporaryDirectory());
    expect(statSync(join(out, 'w/tool')).mode & 0o7777).toBe(0o755);
  });

  test('tar-case-collision keeps both files where the file system does, and tells', async () => {
    const layers = loadManifest('tampered/tar-case-collision').layers;
    const staging = new Staging(temporaryDirectory(), 'fail');
    try {
      for (const layer of layers) {
        await extractTar(new Chunks(readBlob('tampered/tar-case-collision', layer), 1000), staging, { layer: layer.digest });
      }
      expect(staging.caseCollisions()).toEqual([['w/model.bin', 'w/MODEL.BIN']]);
    } finally {
      await staging.discard();
    }
  });

  test('gzip-bomb is no danger to memory', async () => {
    const out = await extractCase('gzip-bomb', temporaryDirectory());
    expect(paths(out).some((path) => statSync(join(out, path)).size >= 10_000_000)).toBe(true);
  });
});
