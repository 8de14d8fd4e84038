import { createHash } from 'node:crypto';
import type { Compression } from './compress.ts';
import type { WalkEntry } from './walk.ts';

/** All that the bytes of a layer depend on. */
export interface LayerInputs {
  /** `tar`: headers and contents of all entries; `raw`: the content of the one entry. */
  readonly encoding: 'tar' | 'raw';
  readonly compression: Compression;
  readonly entries: readonly WalkEntry[];
}

/** To be raised with every change of what layer.ts or tar-header.ts write for the same entries. */
const LAYOUT = 1;
const LINES_AT_ONCE = 2048;

/**
 * SHA-256 (hexadecimal) over what the bytes of a layer follow from, without reading them: what its tar headers are made of and the
 * stamp of each file, ctime included. Equal fingerprints mean equal bytes, for stamps that had settled when they were taken (settled.ts).
 */
export function layerFingerprint({ encoding, compression, entries }: LayerInputs): string {
  const hash = createHash('sha256');
  let lines = `${LAYOUT} ${encoding} ${codec(compression)}\n`;
  let count = 0;
  for (const entry of entries) {
    if (encoding === 'tar') lines += `${entry.type} ${entry.mode} ${JSON.stringify(entry.path)}`;
    if (entry.type === 'file') {
      const { device, inode, size, mtimeNs, ctimeNs } = entry.stamp;
      lines += ` ${device} ${inode} ${size} ${mtimeNs} ${ctimeNs}`;
    }
    lines += '\n';
    if (++count % LINES_AT_ONCE > 0) continue;
    hash.update(lines);
    lines = '';
  }
  return hash.update(lines).digest('hex');
}

// compressed bytes are those of one release of a library on one kind of processor
function codec(compression: Compression): string {
  if (compression === 'none') return 'none';
  const { zlib, zstd } = process.versions;
  return `${compression} ${compression === 'zstd' ? zstd : zlib} ${process.arch}`;
}
