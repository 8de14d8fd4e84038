import { isKitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { kitfileFields } from '../../kitfile/fields.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import type { Location } from '../../oci/reference.ts';
import type { Verifier } from '../../signing/verifier.ts';
import { plain, timeOf } from './content.ts';
import { collectEvidence, type Found, NOBODY_ASKED } from './evidence.ts';
import { eventsOf } from './events.ts';
import { missingFacts } from './missing.ts';
import { AUDIT_SCHEMA, type AuditedArtifact, type AuditMaterial, type AuditReport, type Trust } from './report.ts';
import type { TagMove } from '../history/move.ts';
import { movesBack } from '../history/moves.ts';
import { openTag, tagOf } from '../history/place.ts';
import type { Kit } from '../kit.ts';
import { openSource } from '../artifact/open-location.ts';
import { lineage, type LineageNode, type VisitedManifest } from '../tree/tree.ts';
import { atDigest, requireOneReference } from '../artifact/references.ts';
import { version } from '../version.ts';

export interface AuditArguments {
  readonly location: Location;
  /** Whose signatures count. Undefined: nothing is verified, and all is marked so. */
  readonly verifier?: Verifier | undefined;
  /** Default `local-first`: the tag is looked up in the store before the registry. */
  readonly lookup?: 'local-first' | 'remote';
}

/**
 * All that is known of an artifact, for the files of an auditor: what it holds, who packed, signed, attested and promoted it, from what,
 * when, each with its source and whether it is verified, and what is missing. No layer is read.
 * @throws KitError REFERENCE_NOT_FOUND | DIGEST_MISMATCH and so on for the artifact itself
 */
export async function audit(
  kit: Kit,
  { location, verifier, lookup = 'local-first' }: AuditArguments,
  call: CallOptions = {},
): Promise<AuditReport> {
  requireOneReference(location, 'audit');
  const source = await openSource(kit, location, lookup, call);
  const { digest } = await source.target.resolve(source.reference, call);
  const visited: VisitedManifest[] = [];
  const onVisit = (one: VisitedManifest): void => void visited.push(one);
  // whatever the tag says by now
  const tree = await lineage(kit, { location: atDigest(location, digest), lookup, onVisit }, call);
  const [root] = visited;
  if (root === undefined) throw new Error('the artifact itself is visited first');
  const { found, problems, truncated } = await collectEvidence(visited, verifier, call);
  const moves = await movesOfTag(kit, location, { isLocal: source.isLocal, call });
  const artifact = describe(root, trustIn(found, digest, verifier));
  const evidence = found.map((one) => one.evidence);
  const materials = materialsOf(tree.root, (of) => trustIn(found, of, verifier));
  const events = eventsOf(artifact, found, moves.known);
  const own = evidence.filter(({ about }) => about === digest);
  const known = { reference: source.name, isVerifying: verifier !== undefined, kitfile: root.artifact?.kitfile };
  return {
    $schema: AUDIT_SCHEMA,
    reference: source.name,
    digest,
    lookedIn: placeOf(location, source.isLocal),
    exported: { at: now(kit), by: `ocikit ${version().version}` },
    verifiedBy: verifier?.name ?? null,
    artifact,
    events,
    evidence,
    materials,
    missing: missingFacts({ ...known, evidence: own, events: events.filter(({ what }) => what === digest), materials }),
    problems: [...problems, ...problemsOf(tree.root), ...moves.problems, ...whereElse(location, source.isLocal)],
    truncated: truncated || tree.truncated,
  };
}

/** Of what a manifest says: verified by the signatures over it. */
function trustIn(found: readonly Found[], digest: string, verifier: Verifier | undefined): Trust {
  const own = found.flatMap(({ evidence }) => (evidence.about === digest && evidence.kind === 'signature' ? [evidence] : []));
  const accepted = own.filter(({ trust }) => trust === 'verified').flatMap(({ signers = [] }) => signers);
  if (accepted.length > 0) return { trust: 'verified', signers: accepted };
  const why =
    own.length === 0 ? 'its manifest is not signed' : verifier === undefined ? NOBODY_ASKED : 'no signature of its manifest is accepted';
  return { trust: 'claimed', reason: why };
}

function describe({ descriptor, content, description, artifact }: VisitedManifest, trust: Trust): AuditedArtifact {
  const { annotations = {} } = content;
  const config = 'layers' in content ? content.config : undefined;
  const layers = 'layers' in content ? content.layers : content.manifests;
  return {
    source: descriptor.digest,
    mediaType: descriptor.mediaType,
    description,
    created: timeOf(annotations[ANNOTATION.created]) ?? null,
    annotations,
    config: config === undefined ? null : { digest: config.digest, mediaType: config.mediaType, size: config.size },
    kitfile: jsonOf(artifact?.kitfile),
    layers: layers.map((layer, index) => {
      const { digest, size, mediaType } = layer;
      const inPlace = artifact?.layers[index];
      const known = inPlace?.descriptor.digest === digest ? inPlace : artifact?.layers.find((one) => one.descriptor.digest === digest);
      return { role: known?.role ?? 'unknown', path: known?.path ?? '', digest, size, mediaType, diffId: known?.diffId ?? null };
    }),
    ...trust,
  };
}

function jsonOf(kitfile: Kitfile | undefined): AuditedArtifact['kitfile'] {
  return kitfile === undefined ? null : (plain(kitfileFields(kitfile)) ?? null);
}

const NOTED = 'this machine noted it, and the artifact does not say so';

/** Everything below the artifact but evidence, which is told of elsewhere. */
const MATERIALS: ReadonlySet<LineageNode['relation']> = new Set(['base', 'dataset', 'origin', 'member', 'image', 'referrer']);

function materialsOf({ digest: source, children }: LineageNode, trustOf: (digest: string) => Trust): AuditMaterial[] {
  if (source === undefined) return [];
  const trust = trustOf(source);
  return children.flatMap((child) => {
    if (!MATERIALS.has(child.relation)) return [];
    const { relation, name = null, digest = null, description, problem } = child;
    const vouched: Trust = child.noted === true ? { trust: 'claimed', reason: NOTED } : trust;
    const noted = child.noted === true && { noted: true as const };
    const own = { relation, name, digest, description, source, ...vouched, ...noted, ...(problem !== undefined && { problem }) };
    return [own, ...materialsOf(child, trustOf)];
  });
}

function problemsOf({ name, digest, problem, children }: LineageNode): string[] {
  return [...(problem === undefined ? [] : [`${name ?? digest ?? 'something'}: ${problem}`]), ...children.flatMap(problemsOf)];
}

/** Only a tag has moves. */
async function movesOfTag(
  kit: Kit,
  location: Location,
  { isLocal, call }: { readonly isLocal: boolean; readonly call: CallOptions },
): Promise<{ readonly known: readonly TagMove[]; readonly problems: readonly string[] }> {
  if (location.type === 'archive') return { known: [], problems: ['the tags of an archive have no history'] };
  if (tagOf(location) === undefined) return { known: [], problems: ['no tag was named, so the moves of none were looked for'] };
  try {
    const place = await openTag(kit, location, { local: isLocal, verb: 'audit' });
    const { digest } = await place.target.resolve(place.tag, call);
    return { known: await Array.fromAsync(movesBack(kit, place, digest, call)), problems: [] };
  } catch (error) {
    call.signal?.throwIfAborted();
    if (!isKitError(error)) throw error;
    return { known: [], problems: [`the moves of the tag: ${error.message}`] };
  }
}

function placeOf({ type }: Location, isLocal: boolean): AuditReport['lookedIn'] {
  if (type === 'layout') return 'image layout';
  if (type === 'archive') return 'archive';
  return isLocal ? 'local storage' : 'registry';
}

function whereElse(location: Location, isLocal: boolean): string[] {
  if (location.type !== 'reference' || !isLocal || location.reference.registry === undefined) return [];
  return [`only local storage was looked in: signatures and records of ${location.reference.registry} are found with --remote`];
}

/** Reproducible where $SOURCE_DATE_EPOCH says so. */
function now({ env }: Kit): string {
  const epoch = env['SOURCE_DATE_EPOCH'] ?? '';
  return new Date(/^\d{1,11}$/.test(epoch) ? Number(epoch) * 1000 : Date.now()).toISOString();
}
