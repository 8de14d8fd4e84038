import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import { stringifyExact } from '../../oci/json.ts';
import { ANNOTATION, MEDIA_TYPE } from '../../oci/media-types.ts';
import type { Location } from '../../oci/reference.ts';
import { cyclonedx } from '../../sbom/cyclonedx.ts';
import { spdx } from '../../sbom/spdx.ts';
import type { SbomSubject } from '../../sbom/subject.ts';
import { pushSmall } from '../../signing/attach-bundle.ts';
import type { Signer } from '../../signing/signer.ts';
import type { SignatureFormat } from '../sign/attach-signed.ts';
import { attest } from '../sign/attest.ts';
import type { Kit } from '../kit.ts';
import type { LoadedArtifact } from '../artifact/load-artifact.ts';
import { openSource, type Source } from '../artifact/open-location.ts';
import { openSubject } from '../artifact/open-subject.ts';
import { readSubject } from './subject.ts';
import { atDigest, requireOneReference } from '../artifact/references.ts';

export const SBOM_FORMATS = ['cyclonedx', 'spdx'] as const;
export type SbomFormat = (typeof SBOM_FORMATS)[number];

export interface SbomArguments {
  readonly location: Location;
  /** CycloneDX 1.6 (default), or SPDX 3.0.1. */
  readonly format?: SbomFormat;
  /** Where to read it, if it is put nowhere. Default `local-first`. */
  readonly lookup?: 'local-first' | 'remote';
  /** True: it is put beside the artifact. */
  readonly attach?: boolean;
  /** It is attested by whom. */
  readonly signer?: Signer;
  /** Of the attestation. Default `both`. */
  readonly signatureFormat?: SignatureFormat;
  /** True: a name with a registry is looked up, and added to, in the store. */
  readonly local?: boolean;
}

export interface SbomResult {
  readonly reference: string;
  readonly digest: Digest;
  readonly format: SbomFormat;
  /** JSON. */
  readonly document: string;
  /** Of the manifest that refers to the artifact and holds the document. */
  readonly referrer?: Digest;
  readonly attestation?: { readonly referrer?: Digest; readonly tag?: string };
}

const TYPES = {
  cyclonedx: { build: cyclonedx, mediaType: 'application/vnd.cyclonedx+json', title: 'sbom.cdx.json', predicate: 'cyclonedx' },
  spdx: { build: spdx, mediaType: 'application/spdx+json', title: 'sbom.spdx.json', predicate: 'spdxjson' },
} as const;

/**
 * The bill of materials of an artifact: the same bytes each time, for the same artifact and version of this program. Files of raw layers
 * are not read, but for the README; other layers are. @throws KitError as `inspect`, `unpack` and `attest` do
 */
export async function sbom(kit: Kit, args: SbomArguments, call: CallOptions = {}): Promise<SbomResult> {
  const { location, format = 'cyclonedx', signer } = args;
  requireOneReference(location, 'describe');
  const { build, predicate } = TYPES[format];
  const source = await open(kit, args, call);
  const { subject, artifact } = await readSubject(kit, source, location, call);
  const document = `${stringifyExact(build(subject), 2)}\n`;
  const result = { reference: source.name, digest: subject.digest, format, document };
  const referrer = args.attach === true ? { referrer: await attach(source, artifact, { subject, format, document }, call) } : {};
  if (signer === undefined) return { ...result, ...referrer };
  const attested = await attest(
    kit,
    {
      location: atDigest(location, artifact.descriptor.digest),
      signer,
      type: predicate,
      predicate: { text: document, file: 'the SBOM' },
      format: args.signatureFormat ?? 'both',
      local: args.local === true,
    },
    call,
  );
  const { referrer: bundle, tag } = attested;
  return { ...result, ...referrer, attestation: { ...(bundle !== undefined && { referrer: bundle }), ...(tag !== undefined && { tag }) } };
}

/** What is going to be added to is read where it is added to. */
async function open(
  kit: Kit,
  { location, lookup = 'local-first', attach, signer, local = false }: SbomArguments,
  call: CallOptions,
): Promise<Opened> {
  if (attach !== true && signer === undefined) return await openSource(kit, location, lookup, call);
  const { target, descriptor, name } = await openSubject(kit, location, { local, verb: 'describe' }, call);
  const isLocal = location.type !== 'reference' || local || location.reference.registry === undefined;
  return { target, writable: target, reference: descriptor.digest, name, isLocal };
}

interface Opened extends Source {
  readonly writable?: Parameters<typeof pushSmall>[0];
}

/** As `oras attach` does. Attaching the same document again changes nothing. */
async function attach(
  { writable }: Opened,
  { descriptor }: LoadedArtifact,
  { subject, format, document }: { readonly subject: SbomSubject; readonly format: SbomFormat; readonly document: string },
  call: CallOptions,
): Promise<Digest> {
  if (writable === undefined) throw new Error('opened for reading only');
  await using _lease = await writable.can.lease?.(call);
  const { mediaType, title } = TYPES[format];
  const config = await pushSmall(writable, MEDIA_TYPE.emptyJson, Buffer.from('{}'), call);
  const layer = await pushSmall(writable, mediaType, Buffer.from(document), call);
  const { created } = subject;
  const manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.imageManifest,
    artifactType: mediaType,
    config,
    layers: [{ ...layer, annotations: { [ANNOTATION.title]: title } }],
    subject: { mediaType: descriptor.mediaType, digest: descriptor.digest, size: descriptor.size },
    ...(created !== undefined && { annotations: { [ANNOTATION.created]: created } }),
  };
  return (await pushSmall(writable, MEDIA_TYPE.imageManifest, Buffer.from(JSON.stringify(manifest)), call)).digest;
}
