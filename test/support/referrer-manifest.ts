import { describe, type Descriptor } from '../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../src/oci/media-types.ts';

export const REFERRER_TYPE = 'application/x.test';

/** A manifest over the empty config, which must be in the repository. */
export function manifestContent(fields: Readonly<Record<string, unknown>>): { readonly bytes: Buffer; readonly blob: Descriptor } {
  const config = describe(MEDIA_TYPE.emptyJson, Buffer.from('{}'));
  // without a layer some tools refuse to show it
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config, layers: [config], ...fields }));
  return { bytes, blob: describe(MEDIA_TYPE.imageManifest, bytes) };
}

export function referrerManifest(subject: Descriptor, name: string): { readonly bytes: Buffer; readonly blob: Descriptor } {
  const { mediaType, digest, size } = subject;
  return manifestContent({ artifactType: REFERRER_TYPE, subject: { mediaType, digest, size }, annotations: { name } });
}
