import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

const KEYS = join(GOLDEN, 'cosign-keys');
const KEY = ['--key', join(KEYS, 'cosign.key')];
const PUB = ['--key', join(KEYS, 'cosign.pub')];
const env = { COSIGN_PASSWORD: 'golden-test-only' };
const PROVENANCE = join(GOLDEN, 'cosign-predicates/slsa-provenance-v1.json');
const PREDICATE = JSON.parse(await readFile(PROVENANCE, 'utf8')) as unknown;
const TYPE = 'https://slsa.dev/provenance/v1';

async function published(): Promise<{ box: Sandbox; name: string }> {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => {
    await registry.close();
  });
  await box.write({ 'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\n', 'm/w.bin': 'data' });
  const name = `${registry.host}/team/m:v1`;
  await box.ok(`pack m -t ${name} --push`);
  return { box, name };
}

test('attest, verify-attestation, download', async () => {
  const { box, name } = await published();
  const made = await box.ok(['attest', name, ...KEY, '--type', 'slsaprovenance1', '--predicate', PROVENANCE], { env });
  expect(made).toMatch(
    /^Attested sha256:\w{64} \(https:\/\/slsa\.dev\/provenance\/v1\): sigstore bundle sha256:\w{64}, tag sha256-\w{64}\.att\n$/,
  );
  expect(await box.ok(['verify-attestation', name, ...PUB, '--type', TYPE])).toMatch(
    /^(verified .*: https:\/\/slsa\.dev\/provenance\/v1, .*\n){2}$/,
  );
  const { attestations } = JSON.parse(
    await box.ok(['verify-attestation', name, ...PUB, '--type', 'slsaprovenance1', '--format', 'json']),
  ) as { attestations: { statement: { predicate: unknown } }[] };
  expect(attestations.map(({ statement }) => statement.predicate)).toEqual([PREDICATE, PREDICATE]);
  // an attestation is no signature
  expect(await box.kit(['verify', name, ...PUB])).toMatchObject({
    status: 6,
    stderr: expect.stringContaining('it is an attestation') as string,
  });
  const lines = (await box.ok(['download', 'attestation', name])).trim().split('\n');
  expect(lines.map((line) => Object.keys(JSON.parse(line) as object)[0])).toEqual(['mediaType', 'payload']);
});

test('refused attestations', async () => {
  const { box, name } = await published();
  expect(await box.kit(['verify-attestation', name, ...PUB, '--type', 'cyclonedx'])).toMatchObject({
    status: 6,
    stdout: '',
    stderr: expect.stringContaining('no attestations found') as string,
  });
  await box.ok(['attest', name, ...KEY, '--type', 'custom', '--predicate', '-'], { env, stdin: 'fine' });
  expect(await box.kit(['verify-attestation', name, '--key', join(KEYS, 'wrong.pub'), '--type', 'custom'])).toMatchObject({
    status: 6,
    stderr: expect.stringContaining('is not by the key') as string,
  });
});

test('golden attestations of cosign', async () => {
  const box = await sandbox();
  for (const layout of ['cosign-bundle', 'cosign-legacy']) {
    const name = `oci:${join(GOLDEN, layout)}:v1`;
    await box.ok(['verify-attestation', name, ...PUB, '--type', 'slsaprovenance1']);
    expect(await box.kit(['verify-attestation', name, '--key', join(KEYS, 'wrong.pub'), '--type', 'slsaprovenance1'])).toMatchObject({
      status: 6,
    });
    expect(await box.ok(['download', 'attestation', name])).toMatch(/^\{/);
    expect(await box.ok(['download', 'signature', name])).toMatch(/^\{/);
  }
});

test.each<[string, string[], number, string]>([
  ['no type', ['attest', 'm:v1', ...KEY, '--predicate', 'x'], 2, 'attest needs --type'],
  ['no predicate', ['attest', 'm:v1', ...KEY, '--type', 'custom'], 2, 'attest needs --predicate'],
  ['a predicate that is missing', ['attest', 'm:v1', ...KEY, '--type', 'custom', '--predicate', 'x'], 3, 'x does not exist'],
  ['a type that is unknown', ['verify-attestation', 'm:v1', ...PUB, '--type', 'sbom'], 2, 'use one of custom, slsaprovenance'],
  ['no type to verify', ['verify-attestation', 'm:v1', ...PUB], 2, 'verify-attestation needs --type'],
  ['no key', ['verify-attestation', 'm:v1', '--type', 'custom'], 2, 'verify-attestation needs a key'],
  ['nothing to download', ['download', 'thing', 'm:v1'], 2, 'use one of signature, attestation, sbom'],
])('wrong use: %s', async (_, args, status, message) => {
  const box = await sandbox();
  const run = await box.kit(args, { env });
  expect(run).toMatchObject({ status, stdout: '' });
  expect(run.stderr).toContain(message);
});
