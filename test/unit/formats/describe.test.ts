import { expect, test } from 'vitest';
import { describeIndex, describeManifest } from '../../../src/formats/describe.ts';
import { formatOf } from '../../../src/formats/registry.ts';
import { digestOf } from '../../../src/oci/digest.ts';
import { isIndexType } from '../../../src/oci/media-types.ts';
import { type Manifest, parseIndex, parseManifest } from '../../../src/oci/manifest.ts';
import { loadIndex, loadManifest, readBlob } from '../../support/golden-layout.ts';

const DIGEST = digestOf(Buffer.from('a'));
const SUBJECT = loadIndex('cosign-bundle').manifests[0]?.digest ?? '';

test.each([
  ['kit-modelkit-tar', 'ModelKit'],
  ['modctl-raw', 'ModelPack'],
  ['omlmd', 'OMLMD model'],
  ['modelcar', 'container image for linux/amd64'],
  ['oras-argo-correct', 'Flux source'],
])('%s', (layout, text) => {
  const manifest = loadManifest(layout);
  expect(describeManifest(manifest, formatOf(manifest).name, readBlob(layout, manifest.config))).toBe(text);
});

function describeAttached(layout: string): string[] {
  return loadIndex(layout)
    .manifests.slice(1)
    .map((child) => {
      const bytes = readBlob(layout, child);
      if (isIndexType(child.mediaType)) return describeIndex(parseIndex(bytes, ''));
      return describeManifest(parseManifest(bytes, ''), 'artifact', bytes);
    });
}

test('what is attached to an artifact', () => {
  expect(describeAttached('cosign-bundle').toSorted()).toEqual([
    `sigstore attestation (https://cosign.sigstore.dev/attestation/v1) of ${SUBJECT}`,
    `sigstore attestation (https://slsa.dev/provenance/v1) of ${SUBJECT}`,
    `sigstore signature of ${SUBJECT}`,
  ]);
  expect(describeAttached('cosign-legacy').toSorted()).toEqual(['attestation (DSSE)', 'cosign signature']);
  expect(describeAttached('oras-attach-sbom')).toEqual([
    'CycloneDX SBOM of sha256:dd54605bb292440f7a6587b0265379f67a267f019c7ce948a4366c50fdc0be91',
  ]);
});

interface Types {
  readonly config?: string;
  readonly artifactType?: string;
  readonly layers?: readonly string[];
}

const blob = (mediaType: string) => ({ mediaType, digest: DIGEST, size: 1 });

function manifestOf({ config = 'application/vnd.oci.empty.v1+json', artifactType, layers = [] }: Types): Manifest {
  return { schemaVersion: 2, ...(artifactType !== undefined && { artifactType }), config: blob(config), layers: layers.map(blob) };
}

const IMAGE = 'application/vnd.oci.image.config.v1+json';

test.each<[Types, string]>([
  [{ config: 'application/vnd.cncf.helm.config.v1+json', layers: ['application/vnd.cncf.helm.chart.content.v1.tar+gzip'] }, 'Helm chart'],
  [{ artifactType: 'application/vnd.cncf.notary.signature' }, 'Notation signature'],
  [{ artifactType: 'application/spdx+json' }, 'SPDX SBOM'],
  [{ config: IMAGE }, 'container image for linux/arm64'],
  [{ config: 'application/vnd.docker.container.image.v1+json' }, 'container image for linux/arm64'],
  [{ config: IMAGE, artifactType: 'application/x' }, 'artifact of type `application/x`, 0 layers'],
  [{ artifactType: 'application/x', layers: ['text/plain'] }, 'artifact of type `application/x`, 1 layer'],
  [{ config: 'constructor' }, 'artifact of type `constructor`, 0 layers'],
])('%j', (types, text) => {
  expect(describeManifest(manifestOf(types), 'artifact', Buffer.from('{"os":"linux","architecture":"arm64"}'))).toBe(text);
});

test('a config that is no JSON, or another, is no obstacle', () => {
  for (const config of ['{', 'null', '[]', '{"os":5}', ''])
    expect(describeManifest(manifestOf({ config: IMAGE }), 'artifact', Buffer.from(config)), config).toBe('container image');
});

test('an index', () => {
  const child = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: DIGEST, size: 1 };
  const on = (os: unknown) => ({ ...child, platform: { os, architecture: 'amd64' } });
  expect(describeIndex({ schemaVersion: 2, manifests: [on('linux'), on('unknown'), on(5)] })).toBe('index of images for linux/amd64');
  expect(describeIndex({ schemaVersion: 2, manifests: [child, child] })).toBe('index of 2 artifacts');
  expect(describeIndex({ schemaVersion: 2, manifests: [], artifactType: 'application/vnd.kitops.modelkit.index.v1+json' })).toBe(
    'index of ModelKits',
  );
});
