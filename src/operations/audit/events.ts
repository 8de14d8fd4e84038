import type { Digest } from '../../oci/digest.ts';
import type { Signatory } from '../../signing/verifier.ts';
import { readBuild, readMove, timeOf } from './content.ts';
import type { Found } from './evidence.ts';
import { type AuditedArtifact, type AuditEvent, type AuditEvidence, byText, type Trust } from './report.ts';
import type { TagMove } from '../history/move.ts';

/** What happened, by the evidence, by the manifest, and by the moves of the tag. Oldest first; without a time last. */
export function eventsOf(artifact: AuditedArtifact, found: readonly Found[], moves: readonly TagMove[]): AuditEvent[] {
  const events = [...found.flatMap(eventOf), ...found.flatMap(packedOf), ...packedByManifest(artifact), ...movesOf(found, moves)];
  return withoutRepeats(events.toSorted((a, b) => byText(orderOf(a), orderOf(b))));
}

/** What was attached in two formats happened once. */
function withoutRepeats(events: readonly AuditEvent[]): AuditEvent[] {
  const seen = new Set<string>();
  return events.filter(({ type, when, by, what, detail, trust }) => {
    const key = JSON.stringify([type, when, by, what, detail, trust]);
    return when === null || (!seen.has(key) && seen.add(key));
  });
}

function orderOf({ when, type, source, detail }: AuditEvent): string {
  return `${when ?? '~'} ${type} ${source} ${detail}`;
}

function trustOf({ trust, signers, reason }: Trust): Trust {
  return { trust, ...(signers && { signers }), ...(reason !== undefined && { reason }) };
}

/** A time that is proven, or else the one that the referrer says. */
function timeOfEvidence({ signers = [], attached }: AuditEvidence): Pick<AuditEvent, 'when' | 'time'> {
  const [proven] = signers.flatMap(({ times = [] }) => times.map(({ time }) => time)).toSorted(byText);
  if (proven !== undefined) return { when: proven, time: 'proven' };
  return attached === undefined ? { when: null, time: 'unknown' } : { when: attached, time: 'claimed' };
}

export function nameOfSigner(signer: Signatory): string {
  return signer.type === 'key' ? `key ${signer.name}` : `${signer.identity} (${signer.issuer})`;
}

function signerOf({ signers: [signer] = [], claimedSigner }: AuditEvidence): string | null {
  return signer === undefined ? (claimedSigner ?? null) : nameOfSigner(signer);
}

/** That somebody signed or attested something. */
function eventOf({ evidence }: Found): AuditEvent[] {
  const { kind, form, about, source, predicateType, artifactType } = evidence;
  const common = { ...timeOfEvidence(evidence), by: signerOf(evidence), what: about, source, ...trustOf(evidence) };
  switch (kind) {
    case 'signature':
    case 'model signature':
      return [{ type: 'signed', ...common, detail: kind === 'signature' ? form : 'OpenSSF model signature over the files' }];
    case 'attestation':
      return [{ type: 'attested', ...common, detail: predicateType ?? artifactType ?? form }];
    case 'sbom':
      return [{ type: 'listed', ...common, detail: predicateType ?? artifactType ?? form }];
    default:
      // a provenance and a record tell of something else: see below
      return [];
  }
}

/** By a provenance: who packed what from what. */
function packedOf({ evidence, statement }: Found): AuditEvent[] {
  if (evidence.kind !== 'provenance') return [];
  const build = readBuild(statement?.predicate);
  if (build === undefined) return [];
  const { builder, by, finishedOn, startedOn, materials, invocation } = build;
  const from = materials.map(({ name, uri, digest = {}, annotations }) => {
    const [[algorithm, value] = []] = Object.entries(digest);
    const dirty = annotations?.['dirty'] === true ? ' with changes that are in no commit' : '';
    return `${[name ?? uri ?? 'something', ...(algorithm === undefined ? [] : [`${algorithm}:${value}`])].join(' ')}${dirty}`;
  });
  const when = finishedOn ?? startedOn;
  const who = [by, builder].filter((text) => text !== undefined);
  return [
    {
      type: 'packed',
      when: when ?? null,
      time: when === undefined ? 'unknown' : 'claimed',
      by: who.length === 0 ? null : who.join(', builder '),
      what: evidence.about,
      detail: `${invocation === undefined ? '' : `run ${invocation} `}from ${from.length === 0 ? 'nothing that is named' : from.join(', ')}`,
      source: evidence.source,
      ...trustOf(evidence),
    },
  ];
}

/** What the manifest itself says of its making. */
function packedByManifest({ created, source, ...trust }: AuditedArtifact): AuditEvent[] {
  if (created === null) return [];
  return [
    { type: 'packed', when: created, time: 'claimed', by: null, what: source, detail: 'as its manifest says', source, ...trustOf(trust) },
  ];
}

/** Moves of a tag: what records say, and what this machine noted. */
function movesOf(found: readonly Found[], moves: readonly TagMove[]): AuditEvent[] {
  const records = found.flatMap(({ evidence, statement }): AuditEvent[] => {
    if (evidence.kind !== 'promotion') return [];
    const move = readMove(statement?.predicate);
    const when = timeOf(move?.when);
    if (move === undefined) return [];
    return [
      {
        type: move.kind === 'promotion' ? 'promoted' : 'rolled back',
        when: when ?? null,
        time: when === undefined ? 'unknown' : 'claimed',
        by: move.by ?? null,
        what: evidence.about,
        detail: describeMove(move.from.reference, `${move.to.repository}:${move.to.tag}`, move.previous),
        source: evidence.source,
        ...trustOf(evidence),
      },
    ];
  });
  const known = new Set<AuditEvent['source']>(records.map(({ source }) => source));
  const others = moves.filter(({ record, digest, when }) =>
    record === undefined ? !isRecorded(records, digest, when) : !known.has(record),
  );
  return [...records, ...others.map(eventOfMove)];
}

/** The journal notes what was recorded, too. */
function isRecorded(records: readonly AuditEvent[], digest: Digest, when: string): boolean {
  return records.some((record) => record.what === digest && record.when === when);
}

const TYPES = { promotion: 'promoted', rollback: 'rolled back', move: 'moved' } as const;

function eventOfMove({ kind, digest, previous, when, by, from, record }: TagMove): AuditEvent {
  return {
    type: TYPES[kind],
    when,
    time: 'claimed',
    by: by || null,
    what: digest,
    detail: describeMove(from, undefined, previous),
    source: record ?? 'journal',
    trust: 'claimed',
    reason: record === undefined ? 'this machine noted it' : `it lies beside another artifact: audit ${digest}`,
  };
}

function describeMove(from: string | undefined, to: string | undefined, previous: string | null | undefined): string {
  const parts = [...(from ? [`from ${from}`] : []), ...(to === undefined ? ['the tag'] : [`to ${to}`])];
  return `${parts.join(' ')}${previous ? `, which was ${previous}` : ''}`;
}
