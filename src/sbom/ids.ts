import { createHash } from 'node:crypto';
import type { Digest } from '../oci/digest.ts';

/** A UUID (version 8, RFC 9562) that stands for the bill of materials of one manifest: the same each time. */
export function uuidOf(digest: Digest, format: string): string {
  const bytes = createHash('sha256').update(`${format} bill of materials of ${digest}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
