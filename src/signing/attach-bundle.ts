import { bytesSource } from '../blob-source.ts';
import type { CallOptions } from '../events.ts';
import { describe, type Descriptor } from '../oci/descriptor.ts';
import { ANNOTATION, MEDIA_TYPE } from '../oci/media-types.ts';
import type { Target } from '../targets/types.ts';
import { BUNDLE_TYPE } from './bundle.ts';

export interface BundleContent {
  readonly bytes: Buffer;
  readonly predicateType: string;
  /** RFC 3339, for people who list referrers: nobody has signed it. */
  readonly created: string;
}

/** Puts a sigstore bundle beside the manifest `subject`, as cosign does: a manifest that refers to it. Returns that manifest. */
export async function attachBundle(
  target: Target,
  subject: Descriptor,
  { bytes, predicateType, created }: BundleContent,
  call: CallOptions = {},
): Promise<Descriptor> {
  const config = await pushSmall(target, MEDIA_TYPE.emptyJson, Buffer.from('{}'), call);
  const layer = await pushSmall(target, BUNDLE_TYPE, bytes, call);
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.imageManifest,
    artifactType: BUNDLE_TYPE,
    config,
    layers: [layer],
    subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
    annotations: {
      'dev.sigstore.bundle.content': 'dsse-envelope',
      'dev.sigstore.bundle.predicateType': predicateType,
      [ANNOTATION.created]: created,
    },
  };
  return await pushSmall(target, MEDIA_TYPE.imageManifest, Buffer.from(JSON.stringify(manifest)), call);
}

/** Pushes what the target lacks; a manifest always, so that it becomes part of this repository. */
export async function pushSmall(target: Target, mediaType: string, bytes: Buffer, call: CallOptions): Promise<Descriptor> {
  const blob = describe(mediaType, bytes);
  if (mediaType === MEDIA_TYPE.imageManifest || !(await target.has(blob, call))) await target.push(blob, bytesSource(bytes), call);
  return blob;
}
