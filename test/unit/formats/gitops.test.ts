import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { assembleGitops, gitopsLayer, gitopsOrigin } from '../../../src/formats/gitops.ts';
import { type Descriptor, describe as descriptorOf } from '../../../src/oci/descriptor.ts';
import { digestHex } from '../../../src/oci/digest.ts';
import { type Manifest, parseIndex, parseManifest } from '../../../src/oci/manifest.ts';

const GOLDEN = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'golden');

async function golden(name: string): Promise<{ readonly bytes: Buffer; readonly manifest: Manifest }> {
  const index = parseIndex(await readFile(join(GOLDEN, name, 'index.json')), name);
  const [entry] = index.manifests;
  if (entry === undefined) throw new Error(`${name} is empty`);
  const bytes = await readFile(join(GOLDEN, name, 'blobs', 'sha256', digestHex(entry.digest)));
  return { bytes, manifest: parseManifest(bytes, name) };
}

const layerOf = (mediaType: string, annotations?: Record<string, string>): Descriptor => {
  return { ...descriptorOf(mediaType, Buffer.from(mediaType)), ...(annotations && { annotations }) };
};

function manifestOf(...layers: Descriptor[]): Manifest {
  return { schemaVersion: 2, config: layerOf('application/vnd.oci.empty.v1+json'), layers };
}

describe('what is written', () => {
  test('is what oras writes for Argo CD and Flux, byte for byte', async () => {
    const { bytes, manifest } = await golden('oras-argo-correct');
    const [layer] = manifest.layers;
    const { mediaType, digest, size } = layer ?? layerOf('none');
    const created = manifest.annotations?.['org.opencontainers.image.created'];
    const made = assembleGitops({ mediaType, digest, size }, { ...gitopsOrigin(manifest.annotations), created });
    expect(Buffer.from(made.manifest).toString()).toBe(bytes.toString());
    expect(made.config.descriptor.digest).toBe(manifest.config.digest);
  });

  test('has no annotation that is not known', () => {
    const { manifest } = assembleGitops(layerOf('application/vnd.oci.image.layer.v1.tar+gzip'), {});
    expect(JSON.parse(Buffer.from(manifest).toString())).not.toHaveProperty('annotations');
  });
});

describe('what is read', () => {
  test.each([
    ['application/vnd.oci.image.layer.v1.tar+gzip', 'gzip'],
    ['application/vnd.oci.image.layer.v1.tar', 'none'],
    ['application/vnd.docker.image.rootfs.diff.tar.gzip', 'gzip'],
    ['application/vnd.cncf.flux.content.v1.tar+gzip', 'gzip'],
    ['application/vnd.cncf.helm.chart.content.v1.tar+gzip', 'gzip'],
  ])('%s', (mediaType, compression) => {
    const layer = layerOf(mediaType);
    const provenance = layerOf('application/vnd.cncf.helm.chart.provenance.v1.prov');
    expect(gitopsLayer(manifestOf(provenance, layer), 'r/a:v1')).toEqual({ descriptor: layer, compression });
  });

  test('a directory that oras packed under a type of its own', () => {
    const layer = layerOf('application/x.manifests', { 'io.deis.oras.content.unpack': 'true' });
    expect(gitopsLayer(manifestOf(layer), 'r/a:v1')).toEqual({ descriptor: layer, compression: 'gzip' });
  });

  const tar = 'application/vnd.oci.image.layer.v1.tar+gzip';
  test.each([
    ['two archives', [layerOf(tar), layerOf('application/vnd.oci.image.layer.v1.tar')], /has 2 archives/],
    ['an archive and one of another kind', [layerOf(tar), layerOf('application/vnd.x.tar+gzip')], /has 2 archives/],
    ['a ModelKit of one layer', [layerOf('application/vnd.kitops.modelkit.model.v1.tar')], /holds no archive of manifests/],
    ['a file', [layerOf('application/yaml', { 'org.opencontainers.image.title': 'a.yaml' })], /holds no archive of manifests/],
    ['an archive that neither can read', [layerOf('application/vnd.oci.image.layer.v1.tar+zstd')], /holds no archive of manifests/],
    ['nothing', [], /its layers are: none/],
  ])('not %s', (_name, layers, message) => {
    expect(() => gitopsLayer(manifestOf(...layers), 'r/a:v1')).toThrow(message);
  });
});
