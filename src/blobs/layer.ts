import { BLOCK, encodeTarHeader, paddingFor } from './tar-header.ts';
import { type Segment, segmentSource } from './segments.ts';
import type { BlobSource } from './source.ts';
import type { WalkEntry } from './walk.ts';

type SizedSource = BlobSource & { readonly size: number };

/** An uncompressed tar over the entries: headers, file contents, padding, and two zero blocks at the end. */
export function tarLayer(entries: readonly WalkEntry[]): SizedSource {
  const segments: Segment[] = [];
  let pending: Uint8Array[] = [];
  for (const entry of entries) {
    pending.push(encodeTarHeader(entry));
    if (entry.size === 0) continue;
    segments.push({ type: 'bytes', bytes: Buffer.concat(pending) }, fileSegment(entry));
    pending = [Buffer.alloc(paddingFor(entry.size))];
  }
  segments.push({ type: 'bytes', bytes: Buffer.concat([...pending, Buffer.alloc(2 * BLOCK)]) });
  return segmentSource(segments);
}

/** The bytes of one file as they are. */
export function rawLayer(entry: WalkEntry): SizedSource {
  return segmentSource(entry.size === 0 ? [] : [fileSegment(entry)]);
}

function fileSegment(entry: WalkEntry): Segment {
  return { type: 'file', path: entry.source, offset: 0, length: entry.size, stamp: entry.stamp };
}
