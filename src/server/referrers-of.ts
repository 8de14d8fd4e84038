import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { MEDIA_TYPE } from '../oci/media-types.ts';
import type { Capabilities, ReferrersOptions } from '../targets/types.ts';

/** What names `subject`, of which only the digest is known: it need not be there. */
export async function* referrersOf(
  can: Capabilities,
  subject: Digest,
  options: ReferrersOptions,
): AsyncGenerator<Descriptor, void, undefined> {
  if (can.referrers !== undefined) yield* can.referrers({ mediaType: MEDIA_TYPE.imageManifest, digest: subject, size: 0 }, options);
}
