import { KitError } from '../errors.ts';

/** An object of S3, or all that lie below a prefix. */
export interface S3Reference {
  readonly bucket: string;
  /** Ends in `/` for a prefix; empty for all of the bucket. */
  readonly key: string;
  readonly versionId: string | undefined;
  readonly isPrefix: boolean;
}

/** The names that S3 takes, and older ones of other servers: nothing that could change the host of a URL. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;
const URL_FORM = /^s3:\/\/([^/?#]+)(?:\/([^?#]*))?(?:\?versionId=([\w.+/=-]{1,1024}))?$/;

/** `s3://BUCKET/KEY[?versionId=ID]`, or with a `/` at its end all below; percent signs escape, as in any URL. @throws KitError REFERENCE_INVALID */
export function parseS3Reference(text: string): S3Reference {
  const [whole, bucket = '', escaped = '', versionId] = URL_FORM.exec(text) ?? [];
  const invalid = (why: string): KitError =>
    new KitError('REFERENCE_INVALID', `\`${text}\` ${why}`, { hint: 'write s3://BUCKET/KEY, or s3://BUCKET/PREFIX/ for all below' });
  if (whole === undefined) throw invalid('is no S3 URL');
  if (!BUCKET.test(bucket) || bucket.includes('..')) throw invalid('names no bucket');
  let key: string;
  try {
    key = decodeURIComponent(escaped);
  } catch {
    throw invalid('is not a well-formed URL');
  }
  // no client could ask for it: such segments vanish from a URL
  if (key.split('/').some((segment) => segment === '.' || segment === '..')) throw invalid('has a `.` or `..` in its key');
  const isPrefix = key === '' || key.endsWith('/');
  if (isPrefix && versionId !== undefined) throw invalid('gives a version of no object');
  return { bucket, key, versionId, isPrefix };
}
