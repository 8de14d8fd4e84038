import type { ByteRange } from '../blob-source.ts';

/**
 * The part that a Range header asks for (RFC 9110, 14.1.2); undefined for all of it, also where the header is malformed or asks for
 * several parts, which a server may leave aside; 'unsatisfiable' when there are no such bytes.
 */
export function parseByteRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.replaceAll(/\s/g, '') ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') {
    const suffix = Number(last);
    return suffix === 0 || size === 0 ? 'unsatisfiable' : { start: Math.max(0, size - suffix), end: size };
  }
  const start = Number(first);
  if (start >= size || (last !== '' && Number(last) < start)) return 'unsatisfiable';
  return { start, end: last === '' ? size : Math.min(size, Number(last) + 1) };
}

/** Content-Range of a chunk that is uploaded, `0-1023` (distribution spec, "Pushing a blob in chunks"); 'malformed' when it is none. */
export function parseChunkRange(header: string | undefined): ByteRange | 'malformed' | undefined {
  if (header === undefined) return undefined;
  // some clients write it as HTTP does
  const [, first, last] = /^(?:bytes )?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header) ?? [];
  const range = { start: Number(first), end: Number(last) + 1 };
  return first === undefined || last === undefined || range.end < range.start ? 'malformed' : range;
}
