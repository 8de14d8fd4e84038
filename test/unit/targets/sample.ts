import { bytesSource } from '../../../src/blob-source.ts';
import { describe, type Descriptor } from '../../../src/oci/descriptor.ts';
import { MEDIA_TYPE } from '../../../src/oci/media-types.ts';
import type { Target } from '../../../src/targets/types.ts';

const MODELKIT_CONFIG = 'application/vnd.kitops.modelkit.config.v1+json';
const LAYER = 'application/vnd.kitops.modelkit.model.v1.tar';

interface SampleOptions {
  readonly layers?: readonly (string | Buffer)[];
  readonly configMediaType?: string;
  readonly subject?: Descriptor;
}

export interface Sample {
  readonly manifest: Descriptor;
  readonly bytes: Buffer;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** Pushes a small artifact: config, layers and manifest, without a tag. */
export async function pushSample(
  target: Target,
  name: string,
  { layers = [`layer of ${name}`], configMediaType = MODELKIT_CONFIG, subject }: SampleOptions = {},
): Promise<Sample> {
  const push = async (mediaType: string, bytes: Buffer): Promise<Descriptor> => {
    const blob = describe(mediaType, bytes);
    await target.push(blob, bytesSource(bytes));
    return blob;
  };
  const config = await push(configMediaType, Buffer.from(JSON.stringify({ name })));
  const pushed: Descriptor[] = [];
  for (const layer of layers) pushed.push(await push(LAYER, Buffer.from(layer)));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageManifest, config, layers: pushed, subject }));
  const manifest = await push(MEDIA_TYPE.imageManifest, bytes);
  return { manifest, bytes, config, layers: pushed };
}

/** Pushes an index over manifests, without a tag. */
export async function pushIndex(target: Target, manifests: readonly Descriptor[], artifactType?: string): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.imageIndex, artifactType, manifests }));
  const index = describe(MEDIA_TYPE.imageIndex, bytes);
  await target.push(index, bytesSource(bytes));
  return index;
}
