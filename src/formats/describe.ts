import { annotatedPath } from './file-annotations.ts';
import type { Annotations, Descriptor } from '../oci/descriptor.ts';
import type { Index, Manifest } from '../oci/manifest.ts';
import { MEDIA_TYPE } from '../oci/media-types.ts';

const SIMPLE_SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';
const BUNDLE = /^application\/vnd\.dev\.sigstore\.bundle(?:\.v[\d.]+\+json|\+json;.*)$/;
const PREDICATE_TYPE = 'dev.sigstore.bundle.predicateType';

/** Artifact and config types by which the makers of an artifact tell what it is. */
const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/^application\/vnd\.kitops\.modelkit\.(?:config|manifest)\.v1\+json$/, 'ModelKit'],
  [/^application\/vnd\.(?:cncf|cnai)\.model\.(?:config|manifest)\.v1\+json$/, 'ModelPack'],
  [/^application\/vnd\.docker\.ai\.model\.config\.v/, 'Docker Model Runner model'],
  [/^application\/vnd\.cncf\.helm\.config\.v1\+json$/, 'Helm chart'],
  [/^application\/vnd\.cncf\.flux\.config\.v1\+json$/, 'Flux source'],
  [/^application\/vnd\.cncf\.notary\.signature$/, 'Notation signature'],
  [/^application\/(?:vnd\.)?cyclonedx(?:\+json|\+xml)?$/, 'CycloneDX SBOM'],
  [/^(?:application|text)\/spdx(?:\+json)?$/, 'SPDX SBOM'],
  [/^application\/vnd\.syft\+json$/, 'Syft SBOM'],
  [/^application\/vnd\.in-toto\+json$/, 'in-toto attestation'],
  [/^application\/vnd\.dsse\.envelope\.v1\+json$/, 'attestation (DSSE)'],
  [/^application\/sarif\+json$/, 'SARIF report'],
  [/^application\/vnd\.wasm\.config\.v\d+\+json$/, 'WebAssembly module'],
  [/^application\/vnd\.cncf\.openpolicyagent\.config\.v1\+json$/, 'OPA policy'],
  [/^application\/vnd\.kitops\.modelkit\.index\.v1\+json$/, 'index of ModelKits'],
];

/** What an artifact is, in a few words. `config` are the bytes of its config. Never fails: who knows it not gets its types. */
export function describeManifest(manifest: Manifest, format: string, config: Uint8Array): string {
  const about = manifest.subject === undefined ? '' : ` of ${manifest.subject.digest}`;
  return (kindOf(manifest, format, config) ?? unknownKind(manifest)) + about;
}

function kindOf(manifest: Manifest, format: string, config: Uint8Array): string | undefined {
  const { artifactType, layers, annotations } = manifest;
  const layerTypes = layers.map(({ mediaType }) => mediaType);
  if (layerTypes.includes(SIMPLE_SIGNING)) return 'cosign signature';
  if ([artifactType, ...layerTypes].some((type) => type !== undefined && BUNDLE.test(type))) return bundleKind(annotations);
  if (format === 'omlmd') return 'OMLMD model';
  const types = [artifactType, manifest.config.mediaType, ...(layers.length === 1 ? layerTypes : [])];
  const known = types.flatMap((type) => KNOWN.find(([pattern]) => pattern.test(type ?? ''))?.[1] ?? [])[0];
  if (known !== undefined) return known;
  return isImage(manifest) ? `container image${platformOf(config)}` : undefined;
}

function bundleKind(annotations: Annotations | undefined): string {
  const type = annotations?.[PREDICATE_TYPE];
  if (type === undefined) return 'sigstore bundle';
  return type === 'https://sigstore.dev/cosign/sign/v1' ? 'sigstore signature' : `sigstore attestation (${type})`;
}

function isImage({ artifactType, config }: Manifest): boolean {
  const isImageConfig =
    config.mediaType === MEDIA_TYPE.imageConfig || config.mediaType === 'application/vnd.docker.container.image.v1+json';
  return isImageConfig && artifactType === undefined;
}

function platformOf(config: Uint8Array): string {
  try {
    const { os, architecture } = JSON.parse(Buffer.from(config).toString('utf8')) as { os?: unknown; architecture?: unknown };
    return typeof os === 'string' && typeof architecture === 'string' ? ` for ${os}/${architecture}` : '';
  } catch {
    return '';
  }
}

function unknownKind({ artifactType, config, layers }: Manifest): string {
  const type = artifactType ?? config.mediaType;
  const files = layers.filter((layer) => annotatedPath(layer) !== undefined).length;
  const named = files === 0 ? '' : `, ${files} of them named`;
  return `artifact of type \`${type}\`, ${layers.length} layer${layers.length === 1 ? '' : 's'}${named}`;
}

/** What an index is, by its type and by what it lists. */
export function describeIndex({ artifactType, manifests, subject }: Index): string {
  const known = KNOWN.find(([pattern]) => pattern.test(artifactType ?? ''))?.[1];
  const about = subject === undefined ? '' : ` of ${subject.digest}`;
  if (known !== undefined) return known + about;
  const platforms = manifests.flatMap((child) => platformOfChild(child) ?? []);
  if (platforms.length > 0) return `index of images for ${platforms.join(', ')}${about}`;
  return `index of ${manifests.length} artifacts${about}`;
}

function platformOfChild(child: Descriptor): string | undefined {
  const { platform } = child as { readonly platform?: { readonly os?: unknown; readonly architecture?: unknown } };
  const { os, architecture } = platform ?? {};
  // buildkit's attestations are listed with a platform of this name
  return typeof os !== 'string' || typeof architecture !== 'string' || os === 'unknown' ? undefined : `${os}/${architecture}`;
}
