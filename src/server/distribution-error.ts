import type { OutgoingHttpHeaders } from 'node:http';
import { KitError } from '../errors.ts';

/** Error codes of the distribution spec, and those of CNCF Distribution for what the spec has none. */
type DistributionCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DENIED'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'PAGINATION_NUMBER_INVALID'
  | 'RANGE_INVALID'
  | 'SIZE_INVALID'
  | 'TAG_INVALID'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  | 'UNKNOWN'
  | 'UNSUPPORTED';

/** An answer other than what was asked for (distribution spec, "Error Codes"). The message goes to the client. */
export class DistributionError extends Error {
  readonly status: number;
  readonly code: DistributionCode;
  readonly headers: OutgoingHttpHeaders;

  constructor(status: number, code: DistributionCode, message: string, headers: OutgoingHttpHeaders = {}) {
    super(message);
    this.name = 'DistributionError';
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** What a client is told of `error`: of what went wrong in here no more than that it did. */
export function asDistributionError(error: unknown): DistributionError {
  if (error instanceof DistributionError) return error;
  if (error instanceof KitError) {
    if (error.code === 'BLOB_NOT_FOUND') return new DistributionError(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
    if (error.code === 'DISK_FULL') return new DistributionError(507, 'UNKNOWN', 'the disk of the registry is full');
    if (error.code === 'STORE_BUSY')
      return new DistributionError(503, 'TOOMANYREQUESTS', 'the storage of the registry is busy', { 'Retry-After': '5' });
  }
  return new DistributionError(500, 'UNKNOWN', 'the registry failed: its own log tells why');
}
