import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { digestHex } from '../../src/oci/digest.ts';
import { type Index, type Manifest, parseIndex, parseManifest } from '../../src/oci/manifest.ts';
import { ANNOTATION } from '../../src/oci/media-types.ts';

const GOLDEN = join(import.meta.dirname, '../../fixtures/golden');

/** The bytes of a blob, unchecked; `layout` is relative to the golden artifacts. */
export function readBlob(layout: string, { digest }: Pick<Descriptor, 'digest'>): Buffer {
  return readFileSync(join(GOLDEN, layout, 'blobs/sha256', digestHex(digest)));
}

export function loadIndex(layout: string): Index {
  return parseIndex(readFileSync(join(GOLDEN, layout, 'index.json')), layout);
}

/** The bytes of the manifest with the tag `v1`. */
export function readManifest(layout: string): Buffer {
  const tagged = loadIndex(layout).manifests.find(({ annotations }) => annotations?.[ANNOTATION.refName] === 'v1');
  if (tagged === undefined) throw new Error(`${layout} has no tag v1`);
  return readBlob(layout, tagged);
}

export function loadManifest(layout: string): Manifest {
  return parseManifest(readManifest(layout), layout);
}
