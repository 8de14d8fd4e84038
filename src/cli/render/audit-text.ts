import { nameWithDigest } from '../../operations/sign/verify.ts';
import type { AuditEvent, AuditEvidence, AuditReport, Trust } from '../../operations/audit/report.ts';
import { isIndexType } from '../../oci/media-types.ts';
import { singleLine } from './plain-text.ts';

/** The report for people: who did what when, and what is missing. The export itself is JSON. */
export function auditLines(report: AuditReport): string[] {
  const { reference, digest, artifact, events, evidence, materials, missing, problems, verifiedBy, lookedIn, truncated } = report;
  return [
    singleLine(nameWithDigest(reference, digest)),
    `  ${singleLine(artifact.description)}, ${partsOf(artifact)}; ${mark(artifact)}`,
    `  looked in: ${lookedIn}; signatures that count: ${singleLine(verifiedBy ?? 'nobody was named')}`,
    ...section('Events', events.map(eventLine)),
    ...section('Evidence', evidence.map(evidenceLine)),
    ...section(
      'Made from, part of, or made into',
      materials.map(
        (one) =>
          `${one.relation} ${one.name ?? one.digest ?? ''}${one.name !== null && one.digest !== null ? ` ${one.digest}` : ''}: ${one.description}; ${mark(one)}`,
      ),
    ),
    ...section(
      'Missing',
      missing.map(({ fact, why, hint }) => `${fact}: ${why} (${hint})`),
    ),
    ...section('Problems', [...problems, ...(truncated ? ['there is more than the limits allow'] : [])]),
  ];
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${singleLine(line)}`)];
}

function mark({ trust, reason }: Trust): string {
  if (trust === 'verified') return 'VERIFIED';
  return `claimed${reason === undefined ? '' : ` (${reason})`}`;
}

const CLOCK = { proven: '', claimed: '?', unknown: '' } as const;

function eventLine(event: AuditEvent): string {
  const { when, time, type, by, detail } = event;
  return `${when ?? 'at no known time'}${CLOCK[time]} ${type}${by === null ? '' : ` by ${by}`}: ${detail}; ${mark(event)}`;
}

function evidenceLine(evidence: AuditEvidence): string {
  const { kind, form, source, predicateType, artifactType } = evidence;
  const type = predicateType ?? artifactType;
  return `${kind} (${form}${type === undefined ? '' : `, ${type}`}) ${source}; ${mark(evidence)}`;
}

/** What an index lists are no layers. */
function partsOf({ mediaType, layers }: AuditReport['artifact']): string {
  const part = isIndexType(mediaType) ? 'artifact' : 'layer';
  return `${layers.length} ${part}${layers.length === 1 ? '' : 's'}`;
}
