import { stat, statfs, unlink } from 'node:fs/promises';
import { sameStamp, stampOf } from '../blobs/file-stamp.ts';
import { linkReadOnly } from '../blobs/reflink.ts';
import { isSettled } from '../blobs/settled.ts';
import type { Digest } from '../oci/digest.ts';
import type { VerifiedBlobs } from './verified-blobs.ts';

/**
 * Gives a blob file that `stamps` trusts the second name `to`, read-only under both. Undefined, with nothing made, where that cannot be
 * done; errors are those of the file system.
 * A link moves the ctime, and so does moving or removing a name. To be called when that is over: what is returned, which makes the
 * stamp trusted again if the mtime, which a write would have moved, stayed as it was. A blob for which it was not called is hashed
 * once more when it is next looked for, as it is when the user removes the link.
 */
export async function linkBlob(
  path: string,
  to: string,
  digest: Digest,
  stamps: VerifiedBlobs,
): Promise<(() => Promise<void>) | undefined> {
  const lookedAt = Date.now();
  const before = await stat(path, { bigint: true });
  if (!(await stamps.trusts(digest, before)) || !(await linkReadOnly(path, to))) return undefined;
  if (!sameStamp(stampOf(await stat(to, { bigint: true })), stampOf(before))) {
    await unlink(to);
    return undefined;
  }
  // the ctime moves by our own doing: it is the last write that must be long enough ago
  const written = { ...stampOf(before), ctimeNs: before.mtimeNs };
  return async () => {
    if (!isSettled(written, lookedAt, (await statfs(path)).type >>> 0)) return;
    const now = await stat(path, { bigint: true });
    if (sameStamp(stampOf(now), written)) await stamps.add(digest, now);
  };
}
