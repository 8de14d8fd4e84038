import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createKit, type Kit } from '../../../src/index.ts';
import { attachStatement } from '../../../src/operations/sign/attach-statement.ts';
import { attest } from '../../../src/operations/sign/attest.ts';
import { audit } from '../../../src/operations/audit/audit.ts';
import type { AuditReport } from '../../../src/operations/audit/report.ts';
import { pack } from '../../../src/operations/pack/pack.ts';
import { promote } from '../../../src/operations/promote/promote.ts';
import { attachProvenance } from '../../../src/operations/pack/provenance.ts';
import { sbom } from '../../../src/operations/sbom/sbom.ts';
import { sign } from '../../../src/operations/sign/sign.ts';
import { stringifyExact } from '../../../src/oci/json.ts';
import { parseLocation } from '../../../src/oci/reference.ts';
import { openLayout } from '../../../src/targets/layout.ts';
import { type Workspace, workspace } from '../operations/sandbox.ts';
import { makeKey } from '../signing/operations-setup.ts';

const ajv = new Ajv2020({ strict: false, allErrors: true });
formats.default(ajv);
const validate = ajv.compile(JSON.parse(readFileSync(join(import.meta.dirname, '../../../docs/audit.schema.json'), 'utf8')) as object);

/** As a reader gets it, and valid by the schema. */
function exported(report: AuditReport): AuditReport {
  const json = JSON.parse(stringifyExact(report)) as AuditReport;
  validate(json);
  expect(validate.errors ?? []).toEqual([]);
  return json;
}

const KITFILE =
  'manifestVersion: 1.0.0\npackage: {name: m, license: MIT, description: d, authors: [alice]}\nmodel: {path: w.bin}\ndatasets: [{name: d, path: data}]\n';
const FILES = { 'm/Kitfile': KITFILE, 'm/w.bin': 'weights', 'm/data/a': '1' };

interface Setting {
  readonly box: Workspace;
  readonly kit: Kit;
  readonly layout: string;
  readonly digest: string;
}

async function packed(): Promise<Setting> {
  const box = workspace();
  box.write(FILES);
  const layout = `oci:${box.path('lay')}`;
  const kit = createKit({ home: box.home, env: { SOURCE_DATE_EPOCH: '1800000000' } });
  onTestFinished(async () => {
    await kit.close();
  });
  const result = await pack(kit, { directory: box.path('m'), destination: parseLocation(`${layout}:v1`) });
  return { box, kit, layout, digest: result.digest };
}

function facts({ missing }: AuditReport): string[] {
  return missing.map(({ fact }) => fact);
}

test('nothing but the artifact: what is missing is said', async () => {
  const { kit, layout, digest } = await packed();
  const report = exported(await audit(kit, { location: parseLocation(`${layout}:v1`) }));
  expect(report).toMatchObject({
    digest,
    lookedIn: 'image layout',
    exported: { at: '2027-01-15T08:00:00.000Z' },
    verifiedBy: null,
    artifact: { source: digest, trust: 'claimed', reason: 'its manifest is not signed', kitfile: { package: { license: 'MIT' } } },
    events: [],
    evidence: [],
    materials: [{ relation: 'dataset', name: 'd', source: digest, trust: 'claimed' }],
    truncated: false,
  });
  expect(report.artifact.layers).toMatchObject([
    { role: 'model', path: 'w.bin' },
    { role: 'dataset', path: 'data' },
  ]);
  expect(facts(report)).toEqual([
    'signature',
    'provenance',
    'bill of materials',
    'attestation (tests, evaluation, scans)',
    'proven time',
    'version',
    'framework',
    'parameters',
    'documentation',
    'when and by whom it was packed',
    'promotion record',
    'origin',
  ]);
});

async function everything(): Promise<Setting & ReturnType<typeof makeKey>> {
  const setting = await packed();
  const { kit, layout, box } = setting;
  const key = makeKey();
  const location = parseLocation(`${layout}:v1`);
  const again = await pack(kit, { directory: box.path('m'), destination: location });
  const { signer } = key;
  await attachProvenance(kit, {
    directory: box.path('m'),
    location,
    packed: again,
    parameters: {},
    startedOn: '2026-01-31T12:00:00.000Z',
    signer,
  });
  await sign(kit, { location, signer });
  await attest(kit, { location, signer, type: 'https://example.com/eval/v1', predicate: { text: '{"accuracy":0.97}', file: 'eval.json' } });
  await sbom(kit, { location, attach: true });
  await promote(kit, { source: location, destination: parseLocation(`${layout}:prod`), by: 'bob' });
  return { ...setting, ...key };
}

test('who packed, signed, attested, listed and promoted, verified', async () => {
  const { kit, layout, digest, verifier } = await everything();
  const report = exported(await audit(kit, { location: parseLocation(`${layout}:prod`), verifier }));
  expect(report.artifact).toMatchObject({ trust: 'verified', signers: [{ type: 'key' }, { type: 'key' }] });
  const shown = report.events
    .toSorted((a, b) => a.type.localeCompare(b.type))
    .map(({ type, by, trust, what }) => [type, by, trust, what === digest]);
  expect(shown).toEqual([
    ['attested', expect.stringMatching(/^key /), 'verified', true],
    ['attested', expect.stringMatching(/^key /), 'verified', true],
    ['listed', null, 'claimed', true],
    ['packed', expect.stringContaining('https://ocikit.dev/builder/local/v1'), 'verified', true],
    ['promoted', 'bob', 'claimed', true],
    ['signed', expect.stringMatching(/^key /), 'verified', true],
    ['signed', expect.stringMatching(/^key /), 'verified', true],
  ]);
  expect(report.evidence.map(({ kind, form, trust }) => `${kind}, ${form}: ${trust}`).toSorted()).toEqual([
    'attestation, cosign layer: verified',
    'attestation, sigstore bundle: verified',
    'promotion, unsigned statement: claimed',
    'provenance, cosign layer: verified',
    'provenance, sigstore bundle: verified',
    'sbom, document: claimed',
    'signature, cosign layer: verified',
    'signature, sigstore bundle: verified',
  ]);
  expect(report.evidence.find(({ kind }) => kind === 'attestation')?.content).toEqual({ accuracy: 0.97 });
  expect(facts(report)).toContain('verified bill of materials');
  expect(facts(report)).not.toContain('signature');
});

test('without anybody to verify by, all is claimed; by another key, nothing is accepted', async () => {
  const { kit, layout } = await everything();
  const location = parseLocation(`${layout}:v1`);
  const unverified = exported(await audit(kit, { location }));
  expect(new Set([...unverified.evidence, ...unverified.events, ...unverified.materials].map(({ trust }) => trust))).toEqual(
    new Set(['claimed']),
  );
  expect(unverified.evidence.find(({ kind }) => kind === 'signature')?.reason).toBe('nobody was named whose signatures count');
  expect(facts(unverified)).toContain('verified signature');
  const { verifier } = makeKey();
  const other = exported(await audit(kit, { location, verifier }));
  expect(new Set(other.evidence.map(({ trust }) => trust))).toEqual(new Set(['claimed']));
  expect(other.evidence.find(({ kind, form }) => kind === 'signature' && form === 'sigstore bundle')?.reason).toContain(
    'is not by the key',
  );
  expect(other.artifact).toMatchObject({ trust: 'claimed', reason: 'no signature of its manifest is accepted' });
});

test('the same again gives the same document', async () => {
  const { kit, layout, verifier } = await everything();
  const args = { location: parseLocation(`${layout}:v1`), verifier };
  expect(stringifyExact(await audit(kit, args))).toBe(stringifyExact(await audit(kit, args)));
});

test('a signature over an SBOM is about the SBOM, and does not make the artifact signed', async () => {
  const { kit, layout } = await packed();
  const { signer, verifier } = makeKey();
  const { referrer } = await sbom(kit, { location: parseLocation(`${layout}:v1`), attach: true });
  await sign(kit, { location: parseLocation(`${layout}@${referrer}`), signer, format: 'bundle' });
  const report = exported(await audit(kit, { location: parseLocation(`${layout}:v1`), verifier }));
  expect(report.artifact.trust).toBe('claimed');
  expect(report.evidence.find(({ kind }) => kind === 'signature')).toMatchObject({ about: referrer, trust: 'verified' });
  expect(facts(report)).toContain('signature');
});

test.each<[string, unknown, string]>([
  ['about something else', { subject: [{ digest: { sha256: 'b'.repeat(64) } }] }, 'it signs sha256:bbb'],
  ['that calls itself a signature', { predicateType: 'https://sigstore.dev/cosign/sign/v1' }, 'nobody has signed it'],
  ['that is no statement', { _type: 'x' }, 'its statement'],
  ['whose provenance is nonsense', { predicate: { buildDefinition: 1, runDetails: [] } }, 'nobody has signed it'],
])('an unsigned statement %s', async (_, changes, reason) => {
  const { box, kit, layout, digest } = await packed();
  const target = await openLayout(box.path('lay'));
  const subject = await target.resolve('v1');
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ digest: { sha256: digest.slice(7) } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {},
    ...(changes as object),
  };
  const { predicateType } = statement;
  await attachStatement(target, subject, { statement: JSON.stringify(statement), predicateType, created: '2026-01-31T12:00:00Z' }, {});
  const report = exported(await audit(kit, { location: parseLocation(`${layout}:v1`), verifier: makeKey().verifier }));
  expect(report.evidence).toMatchObject([
    { form: 'unsigned statement', trust: 'claimed', reason: expect.stringContaining(reason) as string },
  ]);
  expect(report.artifact.trust).toBe('claimed');
});

test('what is long is left out with its size', async () => {
  const { kit, layout } = await packed();
  const { signer } = makeKey();
  const text = JSON.stringify({ long: 'x'.repeat(20_000) });
  await attest(kit, {
    location: parseLocation(`${layout}:v1`),
    signer,
    type: 'https://example.com/x',
    predicate: { text, file: 'x' },
    format: 'bundle',
  });
  const report = exported(await audit(kit, { location: parseLocation(`${layout}:v1`) }));
  expect(report.evidence).toMatchObject([{ content: { leftOut: expect.stringContaining('bytes') as string } }]);
});

test('the base and what is unknown of it', async () => {
  const { box, kit } = await packed();
  box.write({ 'n/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: "base:v1"}\ncode: [{path: x}]\n', 'n/x/y': '' });
  await pack(kit, { directory: box.path('m'), destination: parseLocation('base:v1') });
  await pack(kit, { directory: box.path('n'), destination: parseLocation('own:v1') });
  const report = exported(await audit(kit, { location: parseLocation('own:v1') }));
  expect(report.lookedIn).toBe('local storage');
  expect(report.materials).toMatchObject([
    { relation: 'base', name: 'base:v1' },
    { relation: 'dataset', name: 'd' },
  ]);
});
