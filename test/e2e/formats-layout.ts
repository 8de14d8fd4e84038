import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type Descriptor } from '../../src/oci/descriptor.ts';
import { digestHex } from '../../src/oci/digest.ts';
import { MEDIA_TYPE } from '../../src/oci/media-types.ts';

export interface MadeLayer {
  readonly type: string;
  readonly bytes: string | Uint8Array;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface MadeArtifact {
  readonly config: { readonly type: string; readonly json: unknown };
  readonly layers: readonly MadeLayer[];
  readonly manifest?: object;
}

/** Writes an artifact, sound or not, as an image layout with the tag `v1`. */
export async function makeLayout(directory: string, { config, layers, manifest = {} }: MadeArtifact): Promise<void> {
  await mkdir(join(directory, 'blobs/sha256'), { recursive: true });
  const save = async (type: string, bytes: Uint8Array): Promise<Descriptor> => {
    const descriptor = describe(type, bytes);
    await writeFile(join(directory, 'blobs/sha256', digestHex(descriptor.digest)), bytes);
    return descriptor;
  };
  const descriptors: Descriptor[] = [];
  for (const { type, bytes, annotations } of layers)
    descriptors.push({ ...(await save(type, Buffer.from(bytes))), ...(annotations && { annotations }) });
  const content = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.imageManifest,
    config: await save(config.type, Buffer.from(typeof config.json === 'string' ? config.json : JSON.stringify(config.json))),
    layers: descriptors,
    ...manifest,
  };
  const root = await save(MEDIA_TYPE.imageManifest, Buffer.from(JSON.stringify(content)));
  const tagged = { ...root, annotations: { 'org.opencontainers.image.ref.name': 'v1' } };
  await writeFile(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [tagged] }));
  await writeFile(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

/** Docker Model Runner, as its builder lays it out: files by layer type and path. */
export function dockerArtifact(
  version: 1 | 2,
  files: readonly (readonly [type: string, path: string | undefined, content: string])[],
  config: object = {},
): MadeArtifact {
  const layers = files.map(([type, path, bytes]) => ({
    type: `application/vnd.docker.ai.${type}`,
    bytes,
    ...(path !== undefined && { annotations: { 'org.cncf.model.filepath': path } }),
  }));
  const rootfs = { type: 'rootfs', diff_ids: layers.map(({ bytes }) => describe('', Buffer.from(bytes)).digest) };
  const json = { config: { format: 'gguf', ...config }, descriptor: { created: '2026-07-01T00:00:00Z' }, rootfs };
  return { config: { type: `application/vnd.docker.ai.model.config.v0.${version}+json`, json }, layers };
}

/** A ModelPack of raw layers: files by kind and path. */
export function modelpackArtifact(
  files: readonly (readonly [kind: string, path: string, content: string])[],
  prefix: 'cncf' | 'cnai' = 'cncf',
  config?: unknown,
): MadeArtifact {
  const layers = files.map(([kind, path, bytes]) => ({
    type: `application/vnd.${prefix}.model.${kind}.v1.raw`,
    bytes,
    annotations: { [`org.${prefix}.model.filepath`]: path },
  }));
  const diffIds = layers.map(({ bytes }) => describe('', Buffer.from(bytes)).digest);
  return {
    config: {
      type: `application/vnd.${prefix}.model.config.v1+json`,
      json: config ?? { descriptor: { name: 'm' }, config: {}, modelfs: { type: 'layers', diffIds } },
    },
    layers,
    manifest: { artifactType: `application/vnd.${prefix}.model.manifest.v1+json` },
  };
}

const titled = (type: string, bytes: string, title: string): MadeLayer => ({
  type,
  bytes,
  annotations: { 'org.opencontainers.image.title': title },
});

/** OMLMD with one model file, and the config that is a layer too. */
export function omlmdArtifact(path: string, json = '{"name":"m","customProperties":{}}'): MadeArtifact {
  const config = 'application/x-config';
  return {
    config: { type: config, json },
    layers: [titled('application/x-mlmodel', 'weights', path), titled(config, json, 'model_metadata.omlmd.json')],
  };
}
