import type { Kitfile } from '../../kitfile/types.ts';
import type { AuditEvent, AuditEvidence, AuditMaterial, MissingFact } from './report.ts';

export interface KnownFacts {
  readonly reference: string;
  readonly isVerifying: boolean;
  readonly kitfile: Kitfile | undefined;
  /** About the artifact itself. */
  readonly evidence: readonly AuditEvidence[];
  readonly events: readonly AuditEvent[];
  readonly materials: readonly AuditMaterial[];
}

/** What an auditor looks for and will not find: said, not left out. */
export function missingFacts(facts: KnownFacts): MissingFact[] {
  return [...missingEvidence(facts), ...missingFields(facts), ...missingHistory(facts)];
}

function missingEvidence({ reference, isVerifying, evidence }: KnownFacts): MissingFact[] {
  const missing: MissingFact[] = [];
  const need = (kind: AuditEvidence['kind'], fact: string, hint: string): void => {
    const all = evidence.filter((one) => one.kind === kind);
    if (all.some(({ trust }) => trust === 'verified')) return;
    if (all.length === 0) missing.push({ fact, why: 'there is none', hint });
    else if (!isVerifying) missing.push({ fact: `verified ${fact}`, why: 'nobody was named whose signatures count', hint: VERIFY_HINT });
    else missing.push({ fact: `verified ${fact}`, why: `none of ${all.length} is by whom was named`, hint: VERIFY_HINT });
  };
  need('signature', 'signature', `\`kit sign ${reference}\``);
  need('provenance', 'provenance', '`kit pack --provenance --sign`, or `kit attest --type slsaprovenance1`');
  need('sbom', 'bill of materials', `\`kit sbom ${reference} --attach --sign\``);
  need('attestation', 'attestation (tests, evaluation, scans)', `\`kit attest ${reference} --type URI --predicate FILE\``);
  const isDated = evidence.some(({ signers = [] }) => signers.some(({ times = [] }) => times.length > 0));
  if (!isDated) {
    const hint = '`kit sign --timestamp-server-url URL`, or a signature with a transparency log, and `--trusted-root` to check it';
    missing.push({ fact: 'proven time', why: 'no accepted signature is dated by a log or a timestamp authority', hint });
  }
  return missing;
}

const VERIFY_HINT = 'add `--key FILE`, or `--certificate-identity` and `--certificate-oidc-issuer`';

function missingFields({ kitfile, materials }: KnownFacts): MissingFact[] {
  if (kitfile === undefined)
    return [
      {
        fact: 'description of the model',
        why: 'the artifact holds no Kitfile and nothing that reads as one',
        hint: '`kit pack`, with a Kitfile',
      },
    ];
  const { package: whole, model } = kitfile;
  const fields: readonly (readonly [string, boolean, string])[] = [
    ['name', Boolean(whole.name || model?.name), 'package.name'],
    ['version', Boolean(whole.version || model?.version), 'package.version'],
    ['description', Boolean(whole.description || model?.description), 'package.description'],
    ['license', Boolean(whole.license || model?.license), 'package.license'],
    ['authors', (whole.authors ?? []).length > 0, 'package.authors'],
    ['framework', Boolean(model?.framework), 'model.framework'],
    ['parameters', model?.parameters !== undefined, 'model.parameters'],
    ['datasets', (kitfile.datasets ?? []).length > 0 || materials.some(({ relation }) => relation === 'dataset'), 'datasets'],
    ['documentation', (kitfile.docs ?? []).length > 0, 'docs'],
  ];
  return fields.flatMap(([fact, isThere, field]) =>
    isThere ? [] : [{ fact, why: 'the Kitfile does not say', hint: `write \`${field}\` in the Kitfile and pack again` }],
  );
}

function missingHistory({ events, materials }: KnownFacts): MissingFact[] {
  const missing: MissingFact[] = [];
  if (!events.some(({ type }) => type === 'packed'))
    missing.push({
      fact: 'when and by whom it was packed',
      why: 'no provenance and no time in the manifest say',
      hint: '`kit pack --provenance`',
    });
  if (!events.some(({ type }) => type === 'promoted' || type === 'rolled back'))
    missing.push({ fact: 'promotion record', why: 'none is beside it', hint: '`kit promote` writes one' });
  // what only this machine knows is not there for anybody else
  if (!materials.some(({ relation, noted }) => noted !== true && (relation === 'base' || relation === 'origin')))
    missing.push({
      fact: 'origin',
      why: 'neither a base ModelKit nor a source is named',
      hint: '`kit import`, `model.path`, or `kit pack --provenance`',
    });
  return missing;
}
