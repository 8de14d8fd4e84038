import type { Bytes } from '../../blob-source.ts';
import { readVerified } from '../../blobs/verified.ts';
import { isKitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { isManifestLike, MAX_METADATA_BYTES } from '../../oci/media-types.ts';
import { parseLocation } from '../../oci/reference.ts';
import { MAX_BUNDLE_BYTES, type SignatureSource } from '../../signing/candidates.ts';
import type { ReadTarget } from '../../targets/types.ts';
import type { Kit } from '../kit.ts';
import { openRemoteSource, type Source } from '../artifact/open-location.ts';

/** What a target holds about its manifests. */
export function signaturesIn(target: ReadTarget, call: CallOptions): SignatureSource {
  return {
    async *referrers(subject) {
      if (target.can.referrers !== undefined) yield* target.can.referrers(subject, call);
    },
    async resolve(tag) {
      try {
        return await target.resolve(tag, call);
      } catch (error) {
        if (isKitError(error, 'REFERENCE_NOT_FOUND')) return undefined;
        throw error;
      }
    },
    read: async (blob) => await readAttachment(target, blob, call),
  };
}

/** A small blob, checked against size and digest. @throws KitError LIMIT_EXCEEDED before anything is fetched */
export async function readAttachment(target: ReadTarget, blob: Descriptor, call: CallOptions): Promise<Buffer> {
  return await readVerified(lazily(target, blob, call), blob, isManifestLike(blob.mediaType) ? MAX_METADATA_BYTES : MAX_BUNDLE_BYTES);
}

async function* lazily(target: ReadTarget, blob: Descriptor, call: CallOptions): Bytes {
  yield* await target.fetch(blob, call);
}

/** The registry that an artifact in the store comes from: `pull` leaves signatures there. Undefined for all else. */
export async function originOf(kit: Kit, { isLocal, name }: Source): Promise<ReadTarget | undefined> {
  const location = parseLocation(name);
  if (!isLocal || location.type !== 'reference') return undefined;
  const { registry } = location.reference;
  // without a port, `localhost` marks what is only local
  return registry === undefined || registry === 'localhost' ? undefined : await openRemoteSource(kit, location.reference);
}
