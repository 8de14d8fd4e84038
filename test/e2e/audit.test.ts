import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';
import { fakeToken, startSigstoreMock } from '../support/sigstore-mock.ts';

const KEYS = join(GOLDEN, 'cosign-keys');
const KEY = ['--key', join(KEYS, 'cosign.key')];
const PUB = ['--key', join(KEYS, 'cosign.pub')];
const env = { COSIGN_PASSWORD: 'golden-test-only' };
const FILES = {
  'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m, license: MIT}\nmodel: {path: w.bin}\n',
  'm/w.bin': 'weights',
};

interface Report {
  readonly digest: string;
  readonly lookedIn: string;
  readonly artifact: { readonly trust: string };
  readonly events: readonly { readonly type: string; readonly by: string | null; readonly trust: string }[];
  readonly missing: readonly { readonly fact: string }[];
  readonly problems: readonly string[];
}

async function published(): Promise<{ box: Sandbox; name: string; prod: string }> {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => {
    await registry.close();
  });
  await box.write(FILES);
  const repository = `${registry.host}/team/m`;
  await box.ok(['pack', 'm', '-t', `${repository}:v1`, '--push', '--provenance', '--sign', ...KEY], { env });
  await box.ok(['promote', `${repository}:v1`, `${repository}:prod`, '--by', 'alice']);
  return { box, name: `${repository}:v1`, prod: `${repository}:prod` };
}

test('a file for an auditor, valid by the schema', async () => {
  const { box, prod } = await published();
  const run = await box.kit(['audit', '--remote', prod, ...PUB, '--format', 'json', '-o', 'audit.json']);
  expect(run).toMatchObject({
    status: 0,
    stdout: '',
    stderr: expect.stringMatching(/^Wrote the audit of sha256:\w{64} to audit.json\n$/) as string,
  });
  const text = await readFile(box.path('audit.json'), 'utf8');
  const report = JSON.parse(text) as Report;
  const ajv = new Ajv2020({ strict: false });
  formats.default(ajv);
  const schema = JSON.parse(await readFile(join(import.meta.dirname, '../../docs/audit.schema.json'), 'utf8')) as object;
  expect([ajv.validate(schema, report), ajv.errors]).toEqual([true, null]);
  expect(report).toMatchObject({ lookedIn: 'registry', artifact: { trust: 'verified' }, problems: [] });
  expect(report.events.map(({ type, trust }) => `${type} ${trust}`).toSorted()).toEqual([
    'packed verified',
    'promoted claimed',
    'signed verified',
    'signed verified',
  ]);
  expect(report.missing.map(({ fact }) => fact)).toContain('bill of materials');
});

test('for people', async () => {
  const { box, prod } = await published();
  const out = await box.ok(['audit', '--remote', prod, ...PUB]);
  expect(out).toMatch(/^127\.0\.0\.1:55555\/team\/m:prod@sha256:\w{64}\n {2}ModelKit, 1 layer; VERIFIED\n/);
  expect(out).toMatch(/promoted by alice: from .*; claimed \(nobody has signed it\)\n/);
  expect(out).toMatch(/\nMissing\n {2}bill of materials: there is none/);
});

test('what was pulled is looked for here only, and that is said', async () => {
  const { box, name } = await published();
  await box.ok(['pull', name]);
  const report = JSON.parse(await box.ok(['audit', name, ...PUB, '--format', 'json'])) as Report;
  expect(report).toMatchObject({ lookedIn: 'local storage', artifact: { trust: 'claimed' }, events: [] });
  expect(report.problems).toEqual([expect.stringContaining('are found with --remote')]);
});

test('no artifact, no key', async () => {
  const box = await sandbox();
  expect(await box.kit('audit nothing:v1')).toMatchObject({ status: 3, stdout: '' });
  await box.write(FILES);
  await box.ok('pack m -t m:v1');
  expect(await box.kit('audit m:v1 --certificate-identity x')).toMatchObject({ status: 2, stdout: '' });
  expect(await box.kit('audit m:v1 -o no/such/folder')).toMatchObject({ status: 3, stdout: '' });
});

test('a time that a log proves, and an identity', async () => {
  const { box, name } = await published();
  const sigstore = await startSigstoreMock(box.root);
  onTestFinished(async () => {
    await sigstore.close();
  });
  const services = ['--fulcio-url', sigstore.url, '--rekor-url', sigstore.url, '--signature-format', 'bundle'];
  await box.ok(['sign', name, ...services], { env: { SIGSTORE_ID_TOKEN: fakeToken() } });
  const who = ['--certificate-identity', 'dev@example.com', '--certificate-oidc-issuer', 'https://issuer.example.com'];
  const report = JSON.parse(
    await box.ok(['audit', '--remote', name, ...who, '--trusted-root', sigstore.trustedRoot, '--format', 'json']),
  ) as Report;
  expect(report.events).toContainEqual(
    expect.objectContaining({
      type: 'signed',
      by: 'dev@example.com (https://issuer.example.com)',
      time: 'proven',
      trust: 'verified',
    }),
  );
  // what the key signed is not by whom was asked for
  expect(report.events.filter(({ type, trust }) => type === 'packed' && trust === 'verified')).toEqual([]);
  expect(report.missing.map(({ fact }) => fact)).not.toContain('proven time');
});
