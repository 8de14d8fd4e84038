import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

const KEYS = join(GOLDEN, 'cosign-keys');
const KEY = ['--key', join(KEYS, 'cosign.key')];
const PUB = ['--key', join(KEYS, 'cosign.pub')];
const env = { COSIGN_PASSWORD: 'golden-test-only' };
const FILES = {
  'm/Kitfile': 'manifestVersion: 1.0.0\npackage: {name: m}\nmodel: {path: w.bin}\ndatasets: [{name: d, path: data}]\n',
  'm/w.bin': 'weights',
  'm/data/a.csv': 'a',
};
const TYPE = ['--type', 'slsaprovenance1'];

interface Packed {
  readonly digest: string;
  readonly provenance: { readonly signed: boolean; readonly referrer: string };
}

async function packed(box: Sandbox, name: string, ...options: string[]): Promise<Packed> {
  return JSON.parse(await box.ok(['pack', 'm', '-t', name, '--provenance', '--format', 'json', ...options], { env })) as Packed;
}

test('into local storage: not signed, the digest stays, and it travels with --referrers', async () => {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => {
    await registry.close();
  });
  await box.write(FILES);
  const name = `${registry.host}/team/m:v1`;
  const plain = JSON.parse(await box.ok(['pack', 'm', '-t', name, '--format', 'json'])) as Packed;
  const run = await box.kit(['pack', 'm', '-t', name, '--provenance']);
  expect(run).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(new RegExp(`Model saved: ${plain.digest}\nProvenance \\(not signed\\): sha256:\\w{64}\n$`)) as string,
    stderr: expect.stringContaining('`kit copy --from-local --referrers` takes it along, `kit push` does not') as string,
  });
  await box.ok(['copy', '--from-local', '--referrers', name, name]);
  const { root } = JSON.parse(await box.ok(['tree', '--remote', name, '--format', 'json'])) as {
    root: { digest: string; children: { relation: string }[] };
  };
  expect(root.digest).toBe(plain.digest);
  expect(root.children.map(({ relation }) => relation)).toContain('attestation');
  // what nobody has signed is no attestation
  expect(await box.kit(['verify-attestation', '--remote', name, ...PUB, ...TYPE])).toMatchObject({ status: 6 });
});

test('to a registry, signed: artifact and provenance', async () => {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(async () => {
    await registry.close();
  });
  await box.write(FILES);
  const name = `${registry.host}/team/m:v1`;
  const { digest, provenance } = await packed(box, name, '--push', '--sign', ...KEY);
  expect(provenance.signed).toBe(true);
  await box.ok(['verify', '--remote', name, ...PUB]);
  const { attestations } = JSON.parse(await box.ok(['verify-attestation', '--remote', name, ...PUB, ...TYPE, '--format', 'json'])) as {
    attestations: { accepted: boolean; digest: string; statement: { subject: unknown; predicate: { buildDefinition: unknown } } }[];
  };
  // a bundle and a layer under the older tag; the signature of the artifact is no attestation
  const [first, second, ...others] = attestations.filter(({ accepted }) => accepted);
  expect([first?.digest, second !== undefined, others]).toEqual([provenance.referrer, true, []]);
  expect(first?.statement).toMatchObject({
    subject: [{ digest: { sha256: digest.slice(7) } }],
    predicate: {
      buildDefinition: {
        buildType: 'https://ocikit.dev/build/pack/v1',
        externalParameters: { kitfile: 'Kitfile', format: 'modelkit', compression: 'none' },
        internalParameters: { source: { vcs: 'none', reason: 'the directory is in no git repository' } },
        resolvedDependencies: [{ name: 'Kitfile' }, { name: 'dataset d', annotations: { path: 'data' } }],
      },
    },
  });
});

test('in a CI job', async () => {
  const box = await sandbox();
  await box.write(FILES);
  const job = {
    GITHUB_ACTIONS: 'true',
    GITHUB_REPOSITORY: 'team/m',
    GITHUB_WORKFLOW_REF: 'team/m/.github/workflows/pack.yml@refs/heads/main',
    GITHUB_SHA: 'c'.repeat(40),
    GITHUB_RUN_ID: '17',
    GITHUB_ACTOR: 'alice',
  };
  const out = await box.ok('pack m -t oci:lay:v1 --provenance --format json', { env: job });
  const { provenance } = JSON.parse(out) as { provenance: { predicate: unknown } };
  expect(provenance.predicate).toMatchObject({
    buildDefinition: {
      internalParameters: { by: 'alice' },
      resolvedDependencies: [{ name: 'source', uri: 'git+https://github.com/team/m', digest: { gitCommit: 'c'.repeat(40) } }, {}, {}],
    },
    runDetails: {
      builder: { id: 'https://github.com/team/m/.github/workflows/pack.yml@refs/heads/main' },
      metadata: { invocationId: 'https://github.com/team/m/actions/runs/17/attempts/1' },
    },
  });
});

test.each([
  ['without a name', [], '--provenance needs --tag'],
  ['in an archive', ['-t', 'oci-archive:a.tar:v1'], '--provenance: an archive cannot hold what is added later'],
  ['signed in local storage', ['-t', 'm:v1', '--sign'], '--sign needs --push, or --tag oci:DIR'],
])('refused before anything is packed: %s', async (_, options, message) => {
  const box = await sandbox();
  await box.write(FILES);
  expect(await box.kit(['pack', 'm', '--provenance', ...options])).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringContaining(message) as string,
  });
  expect(await box.tree('.')).not.toContain('a.tar');
});
