import { redactUrl } from '../../registry/redact.ts';
import type { CallOptions } from '../../events.ts';
import { type Kitfile, remoteEntries } from '../../kitfile/types.ts';
import type { Digest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-types.ts';
import { formatLocation, type Location } from '../../oci/reference.ts';
import { builderOf } from '../../provenance/builder.ts';
import { packPredicate } from '../../provenance/predicate.ts';
import { digestSet, digestSetOf, gitUri, type Resource } from '../../provenance/resource.ts';
import { predicateTypeOf } from '../../signing/predicate-types.ts';
import type { Signer } from '../../signing/signer.ts';
import { attestationStatement } from '../../signing/statement.ts';
import type { SignatureFormat } from '../sign/attach-signed.ts';
import { attachStatement } from '../sign/attach-statement.ts';
import { attest } from '../sign/attest.ts';
import type { Kit } from '../kit.ts';
import { loadArtifact } from '../artifact/load-artifact.ts';
import { openSubject } from '../artifact/open-subject.ts';
import { atDigest } from '../artifact/references.ts';
import type { PackBase, PackResult } from './pack.ts';
import { currentActor } from '../actor.ts';
import { type SourceState, sourceState } from '../artifact/source-revision.ts';
import { version } from '../version.ts';

const TYPE = 'slsaprovenance1';

export interface ProvenanceArguments {
  /** What was packed from. */
  readonly directory: string;
  /** Where it was put. */
  readonly location: Location;
  readonly packed: PackResult;
  /** What was asked for: names and values of the command. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** RFC 3339. */
  readonly startedOn: string;
  /** Undefined: a statement that nobody has signed. */
  readonly signer?: Signer | undefined;
  /** Of the attestation. Default `both`. */
  readonly signatureFormat?: SignatureFormat;
  /** True: a name with a registry means local storage. */
  readonly local?: boolean;
}

export interface ProvenanceResult {
  readonly predicateType: string;
  readonly signed: boolean;
  /** Of the manifest that refers to the artifact. */
  readonly referrer?: Digest;
  /** Cosign's older tag that was added to. */
  readonly tag?: string;
  readonly predicate: Readonly<Record<string, unknown>>;
}

/**
 * Puts SLSA provenance v1 of a pack beside the artifact: from which commit, Kitfile, base ModelKit and datasets, by which builder. The
 * artifact itself stays as it is. @throws KitError as `attest` does
 */
export async function attachProvenance(kit: Kit, args: ProvenanceArguments, call: CallOptions = {}): Promise<ProvenanceResult> {
  const { packed, signer, signatureFormat = 'both', local = false } = args;
  const location = atDigest(args.location, packed.digest);
  const subject = await openSubject(kit, location, { local, verb: 'describe' }, call);
  const { kitfile } = await loadArtifact(subject.target, packed.digest, subject.name, call);
  const finishedOn = new Date().toISOString();
  const predicate = await describePack(kit, { ...args, finishedOn, kitfile }, call);
  const text = JSON.stringify(predicate);
  const predicateType = predicateTypeOf(TYPE);
  if (signer !== undefined) {
    const content = { type: TYPE, predicate: { text, file: 'the provenance' }, format: signatureFormat } as const;
    const { referrer, tag } = await attest(kit, { location, signer, local, ...content }, call);
    return { predicateType, signed: true, ...(referrer !== undefined && { referrer }), ...(tag !== undefined && { tag }), predicate };
  }
  const statement = attestationStatement({ name: subject.repository, digest: packed.digest }, predicateType, text);
  const { digest: referrer } = await attachStatement(
    subject.target,
    subject.descriptor,
    { statement, predicateType, created: finishedOn },
    call,
  );
  return { predicateType, signed: false, referrer, predicate };
}

interface Described extends ProvenanceArguments {
  readonly finishedOn: string;
  readonly kitfile: Kitfile | undefined;
}

async function describePack(
  kit: Kit,
  { directory, location, packed, parameters, startedOn, finishedOn, kitfile }: Described,
  call: CallOptions,
): Promise<Readonly<Record<string, unknown>>> {
  const state = await sourceState(kit, directory, call);
  const builder = builderOf(kit.env);
  const { config, inputs } = packed;
  const materials = [
    ...sourceMaterials(state, builder.commit),
    ...(inputs === undefined ? [] : [{ name: 'Kitfile', digest: digestSet(inputs.kitfile.digest) }]),
    ...(inputs?.bases ?? []).flatMap(baseMaterials),
    ...(kitfile === undefined ? [] : [...datasetMaterials(packed, kitfile), ...remoteMaterials(kitfile)]),
  ];
  return packPredicate({
    builder,
    parameters: { ...(location.type === 'reference' && { reference: formatLocation(location) }), ...parameters },
    source: describeState(state),
    by: currentActor(kit.env),
    materials,
    byproducts: [{ name: 'config', digest: digestSet(config.digest) }],
    tool: { name: 'ocikit', version: version().version },
    startedOn,
    finishedOn,
  });
}

/** A tree that is not what its commit says is no secret: `dirty` stands at the commit itself. */
function sourceMaterials(state: SourceState, told: Resource | undefined): Resource[] {
  if (state.vcs === 'none') return told === undefined ? [] : [told];
  const { commit, ref, remote, modified, untracked, ignored, submodules } = state;
  const uri = told?.digest?.['gitCommit'] === commit ? told.uri : gitUri(remote, ref);
  const dirty = modified > 0 || untracked > 0 || submodules.some(({ state: is }) => is === 'changed');
  return [
    {
      name: 'source',
      ...(uri !== undefined && { uri }),
      digest: { gitCommit: commit },
      annotations: { dirty, modified, untracked, ignored },
    },
    ...submodules.map(({ path, commit: of, state: is }) => ({
      name: `submodule ${path}`,
      digest: { gitCommit: of },
      annotations: { state: is },
    })),
  ];
}

function describeState(state: SourceState): Readonly<Record<string, unknown>> {
  if (state.vcs === 'none') return { vcs: 'none', reason: state.reason };
  const { vcs, commit, ref, path } = state;
  return { vcs, commit, ...(ref !== undefined && { ref }), path };
}

/** The base, and the revision of a hub or repository that it was imported from. */
function baseMaterials({ reference, digest, source, revision }: PackBase): Resource[] {
  const base = { name: 'base ModelKit', uri: `oci://${reference}`, digest: digestSet(digest), mediaType: MEDIA_TYPE.imageManifest };
  if (source === undefined) return [base];
  const commit = /^[0-9a-f]{40,64}$/.test(revision ?? '') ? { digest: { gitCommit: revision ?? '' } } : {};
  return [base, { name: `origin of ${reference}`, uri: withoutSecrets(source), ...commit, annotations: { claimedBy: digest } }];
}

function datasetMaterials({ layers }: PackResult, kitfile: Kitfile): Resource[] {
  return (kitfile.datasets ?? []).flatMap(({ name, path }, index) =>
    layers
      .filter((layer) => layer.role === 'dataset' && layer.index === index)
      .map((layer) => ({
        name: `dataset ${name ?? path ?? index}`,
        digest: digestSet(layer.descriptor.digest),
        mediaType: layer.descriptor.mediaType,
        annotations: { path: layer.path },
      })),
  );
}

/** Content that stays where it is: its files by the digests that were recorded at pack, else by the hash that the Kitfile gives. */
export function remoteMaterials(kitfile: Kitfile): Resource[] {
  return remoteEntries(kitfile).flatMap(({ role, name, remotePath, remoteHash, remoteRevision, remoteFiles }) => {
    const uri = withoutSecrets(remotePath);
    const title = `${role} ${name ?? uri}`;
    const claims = { ...(remoteHash !== undefined && { remoteHash }), ...(remoteRevision !== undefined && { remoteRevision }) };
    const annotations = Object.keys(claims).length === 0 ? {} : { annotations: claims };
    if (remoteFiles === undefined) {
      const digest = digestSetOf(remoteHash);
      return [{ name: title, uri, ...(digest !== undefined && { digest }), ...annotations }];
    }
    return remoteFiles.map(({ path, digest }) => ({
      name: path === '' ? title : `${title}: ${path}`,
      uri,
      digest: digestSet(digest),
      ...annotations,
    }));
  });
}

/** A URL may hold a password, or a signature in its query. */
function withoutSecrets(uri: string): string {
  const url = URL.parse(uri);
  if (url === null) return uri;
  return url.origin === 'null' ? `${url.protocol}//${url.host}${url.pathname}` : redactUrl(url);
}
