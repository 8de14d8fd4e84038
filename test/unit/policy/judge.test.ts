import { query } from 'jsonpath-rfc9535';
import { describe, expect, test } from 'vitest';
import { judge } from '../../../src/policy/judge.ts';
import { parsePolicy } from '../../../src/policy/parse-policy.ts';
import type { Query } from '../../../src/policy/condition.ts';

const select: Query = (document, path) => query(document as Parameters<typeof query>[0], path);
const head = 'version: 1\nname: p\n';
const parse = (text: string) => parsePolicy(head + text, 'p.yaml', select);

/** The broken rules, with their messages. */
function broken(text: string, document: unknown): Record<string, string | undefined> {
  const verdicts = judge(parse(text), document, select).filter(({ passed }) => !passed);
  expect(verdicts.every(({ message, hint }) => message !== undefined && hint !== undefined)).toBe(true);
  return Object.fromEntries(verdicts.map(({ rule, message }) => [rule, message]));
}

const KEY = { digest: 'sha256:s', accepted: true, signer: { type: 'key', name: 'a.pub', keyId: 'x' } };

test('every broken rule is named, not only the first', () => {
  const text = `
references: { allow: [ghcr.io/team/**], deny: ['**/old/**'], requireDigest: true }
formats: [modelkit]
created: { maxAge: 30d }
signatures: [{ name: ci, signers: [{ key: a.pub }] }]
attestations: [{ type: slsaprovenance1, signers: [{ key: a.pub }] }]
sbom: {}
kitfile: [{ path: package.license, in: [MIT] }]
files: { allow: ['*.txt'], deny: ['*.pkl'], denyContent: [pickle] }
conditions: [{ name: small, path: $.size, max: 5 }]
`;
  const all = Object.keys(broken(text, {}));
  expect(all).toEqual([
    'references.allow',
    'references.deny',
    'references.requireDigest',
    'formats',
    'created.maxAge',
    'kitfile.package.license',
    'files.allow',
    'files.deny',
    'files.denyContent',
    'signatures.ci',
    'attestations[0]',
    'sbom',
    'conditions.small',
  ]);
  for (const nothing of [null, 'text', 3, [], { files: 'x', signatures: {}, kitfile: [], repository: 1, sboms: 'y' }])
    expect(Object.keys(broken(text, nothing))).toEqual(all);
  const good = {
    reference: 'ghcr.io/team/m@sha256:0',
    registry: 'GHCR.io',
    repository: 'team/m',
    pinned: true,
    format: 'modelkit',
    now: '2026-03-01T00:00:00Z',
    created: '2026-02-20T00:00:00Z',
    signatures: [KEY],
    attestations: [{ ...KEY, predicateType: 'https://slsa.dev/provenance/v1', predicate: {} }],
    sboms: [{ digest: 'sha256:b', type: 'application/spdx+json' }],
    kitfile: { package: { license: 'MIT' } },
    files: [{ path: 'a.txt', pickle: false }],
    size: 5,
  };
  expect(broken(text, good)).toEqual({});
});

function attested(predicate: unknown, predicateType = 'https://example.com/scan') {
  return { attestations: [{ ...KEY, predicateType, predicate }] };
}

describe('attestations', () => {
  const rule = `attestations: [{ name: scan, type: 'https://example.com/scan', signers: [{ key: a.pub }], conditions: [{ path: $.critical, max: 0 }] }]`;

  test('their predicate is looked at', () => {
    expect(broken(rule, attested({ critical: 0 }))).toEqual({});
    expect(broken(rule, attested({ critical: 2 }))['attestations.scan']).toContain('sha256:s says: $.critical is `2`, more than `0`');
    expect(broken(rule, attested('text'))['attestations.scan']).toContain('$.critical is missing');
    expect(broken(rule, attested({ critical: 0 }, 'https://example.com/other'))['attestations.scan']).toContain(
      'no attestation of the type',
    );
  });

  test('a signature is none', () => {
    expect(broken(rule, { signatures: [KEY] })['attestations.scan']).toContain('no attestation of the type');
  });

  test('one that is refused gives its reason', () => {
    const refused = { attestations: [{ digest: 'sha256:s', accepted: false, reason: 'it signs sha256:1, not sha256:2' }] };
    expect(broken(rule, refused)['attestations.scan']).toContain('it signs sha256:1');
  });
});

describe('bills of materials', () => {
  const signed = { attestations: [{ ...KEY, predicateType: 'https://cyclonedx.org/bom', predicate: {} }] };

  test('one that is not signed is enough only where that is not asked for', () => {
    const unsigned = { sboms: [{ type: 'application/vnd.cyclonedx+json' }] };
    expect(broken('sbom: {}', unsigned)).toEqual({});
    expect(broken('sbom: {}', signed)).toEqual({});
    expect(broken('sbom: { formats: [spdx] }', unsigned)['sbom']).toContain('no bill of materials (spdx)');
    expect(broken('sbom: { signers: [{ key: a.pub }] }', unsigned)['sbom']).toContain('no signed bill of materials');
    expect(broken('sbom: { signers: [{ key: a.pub }] }', signed)).toEqual({});
    expect(broken('sbom: { signers: [{ key: b.pub }] }', signed)['sbom']).toContain('it is by the key a.pub');
  });
});

describe('files that stay elsewhere', () => {
  const rules = "files: { deny: ['*.pkl'], denyContent: [pickle] }";

  test('their names are judged, and their content is not known', () => {
    const found = broken(rules, { files: [{ path: 'd/x.pkl', size: 1, remote: 's3://b/x.pkl' }] });
    expect(found['files.deny']).toContain('d/x.pkl');
    expect(found['files.denyContent']).toBe('what stays elsewhere is not looked at: d/x.pkl (s3://b/x.pkl)');
  });

  test('a place of which nothing was recorded may hold anything', () => {
    const found = broken("files: { deny: ['*.pkl'] }", { files: [{ path: 'd', remote: 's3://b/d/' }] });
    expect(found['files.deny']).toBe('nothing in it says which files are at s3://b/d/');
  });

  test('names that are allowed', () => {
    const document = { files: [{ path: 'd/x.parquet', size: 1, remote: 's3://b/x.parquet' }] };
    expect(broken("files: { deny: ['*.pkl'] }", document)).toEqual({});
  });
});

test('what could not be found out is said', () => {
  const found = broken('signatures: [{ signers: [{ key: a.pub }] }]', { unknown: ['ghcr.io cannot be reached'] });
  expect(found['signatures[0]']).toContain('not known: ghcr.io cannot be reached');
});

describe('a policy that cannot be used', () => {
  test.each([
    ['', 'p.yaml:1:1: a policy must be one with a rule'],
    ['sbom: {}\nsbm: {}', 'p.yaml:4:1: unknown field `sbm`'],
    ['mode: maybe\nsbom: {}', 'p.yaml:3:7: `mode` must be enforce or warn, found the text `maybe`'],
    ['formats: []', 'p.yaml:3:10: `formats` must be a list with an entry at least'],
    ['references: {}', '`references` must be a map with one of allow, deny, requireDigest'],
    ['references: { requireDigest: false }', 'a map with one of allow, deny, requireDigest'],
    ['signatures: []', '`signatures` must be a list with a rule at least'],
    ['attestations: []', '`attestations` must be a list with a rule at least'],
    ['rego: []', '`rego` must be a list with a file at least'],
    ['files: {}', '`files` must be a map with one of allow, deny, denyContent'],
    ['files: { listing: ranges }', '`files` must be a map with one of allow, deny, denyContent'],
    ['files: { denyContent: [] }', '`files.denyContent` must be a list with an entry at least'],
    ['sbom: { formats: [] }', '`sbom.formats` must be a list with an entry at least'],
    ['sbom: { count: 2 }', '`sbom` must be one with signers'],
    ['signatures: [{ count: 2, signers: [{ key: a }] }]', 'a rule whose count is no larger than its list of signers'],
    ['sbom: { count: 2, signers: [{ key: a }] }', 'a rule whose count is no larger than its list of signers'],
    ['signatures: [{ signers: [] }]', 'a list with a signer at least'],
    ['signatures: [{ signers: [{ identity: a }] }]', 'an identity with one of issuer, issuerRegexp'],
    ['signatures: [{ signers: [{ key: a, issuer: b }] }]', 'and a key without'],
    ['signatures: [{ signers: [{ key: a, identity: b, issuer: c }] }]', 'one of key, publicKey, identity, identityRegexp'],
    ['signatures: [{ count: 0, signers: [{ key: a }] }]', 'a whole number from 1 on, found the text `0`'],
    ['signatures: [{ maxAge: 1y, signers: [{ key: a }] }]', 'an age such as 12h, 30d or 8w'],
    ['signatures: [{ signers: [{ name: x, key: a }, { name: x, key: b }] }]', 'another signer has the name `x` already'],
    ['signatures: [{ signers: [{ identityRegexp: "(", issuer: c }] }]', '`(` is no regular expression'],
    ['attestations: [{ type: provenance, signers: [{ key: a }] }]', 'unknown predicate type `provenance`'],
    ['kitfile: [{ path: package.license }]', 'a path with one of equals'],
    ['kitfile: [{ path: "a[", exists: true }]', 'is no JSONPath'],
    ['kitfile: [{ path: a, in: MIT }]', '`kitfile[0].in` must be a list'],
    ['files: { deny: ["[a"] }', '`[a` is no pattern'],
    ['version: 1\nsbom: {}', 'duplicate key `version`'],
    ['sbom: {}\n---\nname: q', 'a second YAML document'],
  ])('%s', (text, message) => {
    expect(() => parse(text)).toThrowError(
      expect.objectContaining({ code: 'POLICY_INVALID', message: expect.stringContaining(message) as string }),
    );
  });

  test('where to look', () => {
    expect(() => parse('files: {}')).toThrowError(expect.objectContaining({ hint: 'docs/policy.md says what may stand there' }));
  });

  test('the name that was meant', () => {
    expect(() => parse('signatues: []')).toThrowError(
      expect.objectContaining({ hint: expect.stringContaining('did you mean `signatures`?') as string }),
    );
  });

  test('version 2 is for others', () => {
    expect(() => parsePolicy('version: 2\nname: p\nsbom: {}', 'p.yaml', select)).toThrowError(/`version` must be 1, found the text `2`/);
  });
});

describe('what takes for ever is broken off, with the rule and its pattern named', () => {
  const long = 'a'.repeat(200);
  const signed = { accepted: true, digest: 'sha256:s', signer: { type: 'identity', identity: `${long}!`, issuer: 'https://i' } };
  const stars = `${'*a'.repeat(12)}b`;

  test.each([
    ["kitfile: [{ path: license, valueRegexp: '(a+)+b' }]", { kitfile: { license: long } }, 'kitfile.license', '`(a+)+b`, `license`'],
    [`kitfile: [{ path: license, pattern: '${stars}' }]`, { kitfile: { license: long } }, 'kitfile.license', `\`${stars}\``],
    [`files: { deny: ['${stars}'] }`, { files: [{ path: long }] }, 'files', `\`${stars}\``],
    [`references: { deny: ['${stars}'] }`, { repository: long }, 'references', `\`${stars}\``],
    [
      "signatures: [{ name: ci, signers: [{ identityRegexp: '(a+)+', issuer: 'https://i' }] }]",
      { signatures: [signed] },
      'signatures.ci',
      '`(a+)+`',
    ],
    [
      "attestations: [{ type: 'https://t', signers: [{ key: a.pub }], conditions: [{ path: x, valueRegexp: '(a+)+b' }] }]",
      { attestations: [{ ...KEY, predicateType: 'https://t', predicate: { x: long } }] },
      'attestations[0]',
      '`(a+)+b`, `x`',
    ],
    ['conditions: [{ name: c, path: "$[?match(@, \'(a+)+b\')]", exists: false }]', { x: long }, 'conditions.c', '$[?match'],
  ])('%s', (text, document, rule, pattern) => {
    const policy = parse(text);
    expect(() => judge(policy, { reference: 'ghcr.io/team/m:v1', ...document }, select, 100)).toThrow(
      expect.objectContaining({
        code: 'POLICY_INVALID',
        message: expect.stringContaining(`ghcr.io/team/m:v1: the rule ${rule} of the policy p (`) as string,
        hint: expect.stringContaining('repetitions') as string,
      }),
    );
    expect(() => judge(policy, document, select, 100)).toThrow(pattern);
  });
});
