import { BLOCK, encodeTarHeader, paddingFor, tarHeaderSize } from './tar-header.ts';
import { cloneSegment, type FileSegment, type Segment, segmentSource } from './segments.ts';
import { haveSettled } from './settled.ts';
import type { BlobSource } from '../blob-source.ts';
import type { WalkEntry } from './walk.ts';

/** What ends an archive. */
const ZEROS = new Uint8Array(2 * BLOCK);

type SizedSource = BlobSource & { readonly size: number };

/** An uncompressed tar over the entries: headers, file contents, padding, and two zero blocks at the end. */
export function tarLayer(entries: readonly WalkEntry[]): SizedSource {
  const segments: Segment[] = [];
  for (const entry of entries) {
    segments.push({ type: 'made', length: tarHeaderSize(entry), make: () => encodeTarHeader(entry) });
    if (entry.size === 0) continue;
    segments.push(fileSegment(entry));
    const padding = paddingFor(entry.size);
    if (padding > 0) segments.push({ type: 'bytes', bytes: ZEROS.subarray(0, padding) });
  }
  segments.push({ type: 'bytes', bytes: ZEROS });
  return segmentSource(segments);
}

/** The bytes of one file as they are. */
export function rawLayer(entry: WalkEntry): SizedSource {
  if (entry.size === 0) return segmentSource([]);
  const segment = fileSegment(entry);
  let clonedAt = 0;
  return {
    ...segmentSource([segment]),
    cloneTo: async (path) => {
      clonedAt = Date.now();
      return await cloneSegment(segment, path);
    },
    matchesClone: async () => await haveSettled([entry], clonedAt),
  };
}

function fileSegment(entry: WalkEntry): FileSegment {
  return { type: 'file', path: entry.source, offset: 0, length: entry.size, stamp: entry.stamp };
}
