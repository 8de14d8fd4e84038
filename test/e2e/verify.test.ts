import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createRegistryClient } from '../../src/registry/client.ts';
import { copy } from '../../src/targets/copy.ts';
import { openLayout } from '../../src/targets/layout.ts';
import { remoteRepository } from '../../src/targets/remote.ts';
import { GOLDEN, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

const SUBJECT = 'sha256:3f38b17f734e30a6c3d507cc1e983bffc8c244b7be9ab878eae10ff7fac5da56';
const TAMPERED_SUBJECT = 'sha256:8633ac7e270deb06af6247f20d9a9918515688492352a6833e0d55a625ba202f';
const KEYS = join(GOLDEN, 'cosign-keys');
const KEY = join(KEYS, 'cosign.pub');
const WRONG_KEY = join(KEYS, 'wrong.pub');
const layout = (name: string) => `oci:${join(GOLDEN, name)}:v1`;

interface Verified {
  readonly reference: string;
  readonly digest: string;
  readonly verified: boolean;
  readonly transparencyLog: string;
  readonly signatures: readonly { kind: string; digest: string; accepted: boolean; reason?: string }[];
}

/** Everything that a golden layout lists, in a repository of a registry. */
async function serve(name: string, hasReferrers = true): Promise<{ registry: TestRegistry; repository: string }> {
  const registry = await startRegistry({ behaviour: { referrers: hasReferrers } });
  const client = createRegistryClient({ env: { HOME: '/nonexistent' } });
  onTestFinished(async () => {
    await client.close();
    await registry.close();
  });
  const source = await openLayout(join(GOLDEN, name));
  const target = remoteRepository(client, registry.host, 'team/model');
  for (const entry of await source.entries()) {
    const tag = entry.annotations?.['org.opencontainers.image.ref.name'];
    await copy(source, entry.digest, target, tag === undefined ? [] : [tag]);
  }
  return { registry, repository: `${registry.host}/team/model` };
}

interface Case {
  readonly artifact: string;
  readonly expect: string;
  readonly stage: string;
}

describe('hostile signatures', async () => {
  const cases = JSON.parse(await readFile(join(GOLDEN, 'tampered/cases.json'), 'utf8')) as Record<string, Case>;
  const names = Object.keys(cases).filter((name) => cases[name]?.artifact === 'signature');
  const reasons: Readonly<Record<string, string>> = {
    'sig-replayed': `because it signs ${SUBJECT}, not ${TAMPERED_SUBJECT}`,
    'sig-bad-signature': `because it was changed after signing, or is not by the key ${KEY}`,
    'sig-attestation-only': 'because it is an attestation (https://cosign.sigstore.dev/attestation/v1), not a signature',
    'sig-legacy-replayed': `because it signs ${SUBJECT}, not ${TAMPERED_SUBJECT}`,
  };

  test('each has a reason here', () => {
    expect(names.toSorted()).toEqual(Object.keys(reasons).toSorted());
    expect(names.every((name) => cases[name]?.expect === 'reject' && cases[name]?.stage === 'verify')).toBe(true);
  });

  test.each(names)('%s', async (name) => {
    const box = await sandbox();
    const run = await box.kit(['verify', layout(`tampered/${name}`), '--key', KEY]);
    expect(run.status).toBe(6);
    expect(run.stdout).toBe('');
    expect(run.stderr).toContain(`${layout(`tampered/${name}`)}@${TAMPERED_SUBJECT}: no signature is accepted\n  not accepted: `);
    expect(run.stderr).toContain(reasons[name]);
  });

  test('none at all', async () => {
    const box = await sandbox();
    const run = await box.kit(['verify', layout('tampered/00-clean'), '--key', KEY]);
    expect(run.status).toBe(6);
    expect(run.stderr).toContain(`@${TAMPERED_SUBJECT}: no signatures found`);
  });

  test('a manifest that is not what its digest says', async () => {
    const box = await sandbox();
    const run = await box.kit(['verify', layout('tampered/blob-manifest-bitflip'), '--key', KEY]);
    expect(run.status).toBe(6);
    expect(run.stderr).toContain('the content has digest');
  });
});

describe('signatures of cosign', () => {
  test('a bundle among attestations', async () => {
    const box = await sandbox();
    const run = await box.kit(['verify', layout('cosign-bundle'), '--key', KEY]);
    expect({
      ...run,
      stdout: run.stdout.replaceAll(GOLDEN, '<GOLDEN>'),
      stderr: run.stderr.replaceAll(GOLDEN, '<GOLDEN>'),
    }).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      verified oci:<GOLDEN>/cosign-bundle:v1@sha256:3f38b17f734e…: sigstore bundle sha256:19bb600d22b5…, key <GOLDEN>/cosign-keys/cosign.pub
      --- stderr
      not accepted: sigstore bundle sha256:a0ae8479c3de… because it is an attestation (https://slsa.dev/provenance/v1), not a signature
      not accepted: sigstore bundle sha256:82e8e93fe70d… because it is an attestation (https://cosign.sigstore.dev/attestation/v1), not a signature
      transparency logs were not consulted: only a key was given
    `);
  });

  test('the older format', async () => {
    const box = await sandbox();
    const run = await box.kit(['verify', layout('cosign-legacy'), '--key', KEY]);
    expect({ ...run, stdout: run.stdout.replaceAll(GOLDEN, '<GOLDEN>') }).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      verified oci:<GOLDEN>/cosign-legacy:v1@sha256:3f38b17f734e…: cosign signature sha256:9fabed556e9c…, key <GOLDEN>/cosign-keys/cosign.pub
      --- stderr
      transparency logs were not consulted: only a key was given
    `);
  });

  test.each([
    ['cosign-bundle', 3],
    ['cosign-legacy', 1],
  ])('%s is not by another key', async (name, count) => {
    const box = await sandbox();
    const run = await box.kit(['verify', layout(name), '--key', WRONG_KEY, '--format', 'json']);
    expect(run.status).toBe(6);
    const { verified, digest, signatures } = JSON.parse(run.stdout) as Verified;
    expect({ verified, digest }).toEqual({ verified: false, digest: SUBJECT });
    expect(signatures.map(({ accepted }) => accepted)).toEqual(Array.from({ length: count }, () => false));
    for (const { digest: one, reason } of signatures) expect(run.stderr).toContain(`${one} because ${reason}`);
  });

  test('as JSON', async () => {
    const box = await sandbox();
    const run = await box.kit(['verify', layout('cosign-bundle'), '--key', KEY, '--format', 'json']);
    expect(run.status).toBe(0);
    const { reference, digest, verified, signatures, transparencyLog } = JSON.parse(run.stdout) as Verified;
    expect(transparencyLog).toBe('not consulted');
    expect({ reference, digest, verified }).toEqual({ reference: layout('cosign-bundle'), digest: SUBJECT, verified: true });
    expect(signatures.filter(({ accepted }) => accepted)).toEqual([
      {
        kind: 'bundle',
        digest: 'sha256:19bb600d22b53dc7075ba5a7341df5f58bdcb4a555fe576a09f36a7067c1b2fa',
        accepted: true,
        signer: { type: 'key', name: KEY, keyId: expect.stringMatching(/^[\w+/]{43}=$/) as string },
      },
    ]);
  });

  test('annotations that were signed', async () => {
    const box = await sandbox();
    const verify = async (...more: string[]) => await box.kit(['verify', layout('cosign-legacy'), '--key', KEY, ...more]);
    expect(await verify('-a', 'who=golden')).toMatchObject({ status: 0 });
    expect(await verify('-a', 'who=someone')).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('who is `golden`, not `someone`') as string,
    });
    expect(await verify('-a', 'who=golden', '-a', 'x=y')).toMatchObject({ status: 6 });
  });
});

describe('in a registry', () => {
  test.each([
    ['cosign-bundle', true],
    ['cosign-legacy', true],
    ['cosign-legacy', false],
  ])('%s, with the referrers API: %s', async (name, hasReferrers) => {
    const { repository } = await serve(name, hasReferrers);
    const box = await sandbox();
    const stdout = await box.ok(['verify', `${repository}:v1`, '--key', KEY]);
    expect(stdout).toMatch(new RegExp(`^verified 127\\.0\\.0\\.1:55555/team/model:v1@${SUBJECT}: `));
    expect(await box.kit(['verify', `${repository}@${SUBJECT}`, '--key', WRONG_KEY])).toMatchObject({ status: 6 });
  });

  test('what was pulled is verified with the signatures in the registry', async () => {
    const { registry, repository } = await serve('cosign-bundle');
    const box = await sandbox();
    await box.ok(['pull', `${repository}:v1`]);
    registry.clear();
    await box.ok(['verify', `${repository}:v1`, '--key', KEY]);
    expect(registry.log()).toContain('GET /v2/team/model/referrers/DIGEST -> 200');
    // the tag is that of the store
    expect(registry.log().filter((line) => line.includes('manifests/v1'))).toEqual([]);
    await box.ok(['verify', '--remote', `${repository}:v1`, '--key', KEY]);
    expect(registry.log().filter((line) => line.includes('manifests/v1'))).not.toEqual([]);
  });

  test('no such tag', async () => {
    const { repository } = await serve('cosign-bundle');
    const box = await sandbox();
    expect(await box.kit(['verify', `${repository}:v2`, '--key', KEY])).toMatchObject({ status: 3 });
  });
});

describe('wrong use', () => {
  test.each<[string, string[], number, string]>([
    ['no key', [], 2, '--key FILE'],
    ['a key file that is missing', ['--key', 'missing.pub'], 3, 'there is no key file missing.pub'],
    ['a private key', ['--key', join(KEYS, 'cosign.key')], 2, 'is a private key'],
    ['garbage', ['--key', join(KEYS, 'PASSWORD.txt')], 2, 'is no usable public key: it is not a PEM file'],
    ['an annotation without a value', ['--key', KEY, '-a', 'who'], 2, 'invalid annotation `who`'],
    ['an annotation given twice', ['--key', KEY, '-a', 'who=a', '-a', 'who=b'], 2, 'given twice'],
  ])('%s', async (_, args, status, message) => {
    const box = await sandbox();
    const run = await box.kit(['verify', layout('cosign-bundle'), ...args]);
    expect(run).toMatchObject({ status, stdout: '' });
    expect(run.stderr).toContain(message);
  });

  test('several tags at once', async () => {
    const box = await sandbox();
    const run = await box.kit(['verify', 'localhost:5000/m:v1,v2', '--key', KEY]);
    expect(run).toMatchObject({ status: 2, stderr: expect.stringContaining('more than one tag') as string });
  });
});
