import { describe, expect, test } from 'vitest';
import type { JudgedSignature } from '../../../src/policy/input.ts';
import type { SignedBy, Signer } from '../../../src/policy/schema.ts';
import { signersProblem } from '../../../src/policy/signers.ts';

const NOW = '2026-03-01T00:00:00Z';
const ISSUER = 'https://issuer.example.com';

function signer(fields: Partial<Signer>): Signer {
  const none = { name: undefined, key: undefined, publicKey: undefined, identity: undefined, identityRegexp: undefined };
  return { ...none, issuer: undefined, issuerRegexp: undefined, ...fields };
}

function rule(signers: readonly Partial<Signer>[], fields: Partial<SignedBy> = {}): SignedBy {
  return { count: undefined, maxAge: undefined, annotations: undefined, signers: signers.map(signer), ...fields };
}

const byKey = (name: string, keyId = name): JudgedSignature => ({
  digest: `sha256:${name}`,
  accepted: true,
  signer: { type: 'key', name, keyId },
});
const byIdentity = (identity: string, time = '2026-02-20T00:00:00Z', issuer = ISSUER): JudgedSignature => ({
  digest: `sha256:${identity}`,
  accepted: true,
  signer: { type: 'identity', identity, issuer, times: [{ time }] },
});

test('a key by its name', () => {
  expect(signersProblem(rule([{ key: 'a.pub' }]), [byKey('a.pub')], NOW)).toBeUndefined();
  expect(signersProblem(rule([{ name: 'release', key: 'a.pub' }]), [byKey('release')], NOW)).toBeUndefined();
  expect(signersProblem(rule([{ key: 'a.pub' }]), [byKey('b.pub')], NOW)).toBe(
    'nobody has signed it of those who must (a.pub); not counted: sha256:b.pub because it is by the key b.pub',
  );
});

test('a key is no identity of that name, nor the reverse', () => {
  expect(signersProblem(rule([{ key: 'dev@example.com' }]), [byIdentity('dev@example.com')], NOW)).toContain('nobody has signed it');
  expect(signersProblem(rule([{ identity: 'a.pub', issuer: ISSUER }]), [byKey('a.pub')], NOW)).toContain('nobody has signed it');
});

test('what is not accepted does not count', () => {
  const refused = { ...byKey('a.pub'), accepted: false, reason: 'it was changed after signing' };
  expect(signersProblem(rule([{ key: 'a.pub' }]), [refused], NOW)).toContain('because it was changed after signing');
});

describe('identities', () => {
  test.each<[Partial<Signer>, string, string, boolean]>([
    [{ identity: 'dev@example.com', issuer: ISSUER }, 'dev@example.com', ISSUER, true],
    [{ identity: 'dev@example.com', issuer: ISSUER }, 'dev@example.com.evil.org', ISSUER, false],
    [{ identity: 'dev@example.com', issuer: ISSUER }, 'dev@example.com', 'https://evil.org', false],
    // a text is no regular expression
    [{ identity: 'dev.example.com', issuer: ISSUER }, 'devxexample.com', ISSUER, false],
    [{ identityRegexp: '.*@example[.]com', issuer: ISSUER }, 'dev@example.com', ISSUER, true],
    [{ identityRegexp: '.*@example[.]com', issuer: ISSUER }, 'dev@example.com.evil.org', ISSUER, false],
    [{ identityRegexp: 'a|dev@example[.]com', issuer: ISSUER }, 'dev@example.com.evil.org', ISSUER, false],
    [{ identity: 'dev@example.com', issuerRegexp: 'https://[a-z]+[.]example[.]com' }, 'dev@example.com', ISSUER, true],
    [{ identity: 'dev@example.com', issuerRegexp: 'https://[a-z]+[.]example[.]com' }, 'dev@example.com', `${ISSUER}.evil.org`, false],
    [{ identityRegexp: '.*', issuerRegexp: '.*' }, '', ISSUER, false],
  ])('%j and %s by %s: %s', (entry, identity, issuer, expected) => {
    expect(signersProblem(rule([entry]), [byIdentity(identity, undefined, issuer)], NOW) === undefined).toBe(expected);
  });
});

describe('how many', () => {
  const two = { count: 2 };

  test('two of three', () => {
    const asked = rule([{ key: 'a' }, { key: 'b' }, { key: 'c' }], two);
    expect(signersProblem(asked, [byKey('a'), byKey('c')], NOW)).toBeUndefined();
    expect(signersProblem(asked, [byKey('a'), byKey('a')], NOW)).toBe('1 of 2 has signed it of those who must (2 of a, b, c)');
  });

  test('one key under two names is one signer', () => {
    const both = { ...byKey('a', 'same'), signer: { type: 'key' as const, name: 'a', names: ['a', 'b'], keyId: 'same' } };
    expect(signersProblem(rule([{ key: 'a' }, { key: 'b' }], two), [both, both], NOW)).toContain('1 of 2');
    expect(signersProblem(rule([{ key: 'b' }]), [both], NOW)).toBeUndefined();
  });

  test('one person whom two entries describe is one signer', () => {
    const asked = rule(
      [
        { identityRegexp: '.*@example[.]com', issuer: ISSUER },
        { identity: 'a@example.com', issuer: ISSUER },
      ],
      two,
    );
    expect(signersProblem(asked, [byIdentity('a@example.com')], NOW)).toContain('1 of 2');
    // the first entry takes whom the second does not need
    expect(signersProblem(asked, [byIdentity('a@example.com'), byIdentity('b@example.com')], NOW)).toBeUndefined();
  });

  test('two people whom one entry describes are one of the list', () => {
    const asked = rule([{ identityRegexp: '.*@example[.]com', issuer: ISSUER }, { key: 'a' }], two);
    expect(signersProblem(asked, [byIdentity('a@example.com'), byIdentity('b@example.com')], NOW)).toContain('1 of 2');
  });
});

describe('what is asked of each', () => {
  test('annotations', () => {
    const asked = rule([{ key: 'a' }], { annotations: { stage: 'prod' } });
    expect(signersProblem(asked, [{ ...byKey('a'), annotations: { stage: 'prod', more: '1' } }], NOW)).toBeUndefined();
    expect(signersProblem(asked, [{ ...byKey('a'), annotations: { stage: 'test' } }], NOW)).toContain('its annotation stage is not `prod`');
    expect(signersProblem(asked, [byKey('a')], NOW)).toContain('its annotation stage is not `prod`');
  });

  test('age', () => {
    const asked = rule([{ identity: 'a', issuer: ISSUER }], { maxAge: '30d' });
    expect(signersProblem(asked, [byIdentity('a')], NOW)).toBeUndefined();
    expect(signersProblem(asked, [byIdentity('a', '2025-02-20T00:00:00Z')], NOW)).toContain('is more than 30d ago');
    expect(signersProblem(rule([{ key: 'a' }], { maxAge: '30d' }), [byKey('a')], NOW)).toContain('nothing proves when it was signed');
  });

  test('of several times the oldest counts', () => {
    const asked = rule([{ identity: 'a', issuer: ISSUER }], { maxAge: '30d' });
    const one = byIdentity('a');
    const stamped = {
      ...one,
      signer: {
        type: 'identity' as const,
        identity: 'a',
        issuer: ISSUER,
        times: [{ time: '2026-02-28T00:00:00Z' }, { time: '2025-01-01T00:00:00Z' }],
      },
    };
    expect(signersProblem(asked, [stamped], NOW)).toContain('2025-01-01T00:00:00Z is more than 30d ago');
  });
});
