import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { describe, expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type KitRun, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

const KEY = join(GOLDEN, 'cosign-keys', 'cosign.pub');

interface Team {
  readonly box: Sandbox;
  readonly host: string;
  /** Digests by reference, without the registry. */
  readonly digests: ReadonlyMap<string, string>;
}

/** A registry with a ModelKit, and what else is asked for. */
async function team(...more: ('model:v2' | 'car:v1' | 'deploy:v1')[]): Promise<Team> {
  const box = await sandbox();
  const registry = await startRegistry();
  onTestFinished(() => registry.close());
  const { host } = registry;
  const kitfile = "manifestVersion: '1.0'\nmodel:\n  path: model.joblib\n  framework: scikit-learn\ncode:\n  - path: run.py\n";
  await box.write({ 'm/Kitfile': kitfile, 'm/model.joblib': 'one', 'm/run.py': 'code', 'deploy/a.yaml': 'kind: ConfigMap\n' });
  const digests = new Map<string, string>();
  const note = (reference: string, json: string): void => void digests.set(reference, (JSON.parse(json) as { digest: string }).digest);
  note('model:v1', await box.ok(['pack', 'm', '-t', `${host}/team/model:v1`, '--push', '--format', 'json']));
  await box.write({ 'm/model.joblib': 'two' });
  if (more.includes('model:v2')) note('model:v2', await box.ok(['pack', 'm', '-t', `${host}/team/model:v2`, '--push', '--format', 'json']));
  if (more.includes('deploy:v1'))
    note('deploy:v1', await box.ok(['gitops', 'push', 'deploy', `${host}/team/deploy:v1`, '--no-git', '--format', 'json']));
  if (more.includes('car:v1')) await box.ok(['copy', `oci:${join(GOLDEN, 'modelcar')}:v1`, `${host}/team/car:v1`]);
  return { box, host, digests };
}

const objectsOf = (yaml: string): Record<string, unknown>[] => loadAll(yaml) as Record<string, unknown>[];

test('the tag is pinned to the digest that it has, and the format is read from the artifact', async () => {
  const { box, host, digests } = await team('model:v2');
  const yaml = await box.ok([
    'generate',
    'kserve',
    `${host}/team/model:v2`,
    '--previous',
    `${host}/team/model:v1`,
    '--canary-percent',
    '5',
  ]);
  expect(objectsOf(yaml)).toMatchObject([
    {
      metadata: { name: 'model', annotations: { 'ocikit/reference': 'localhost:55555/team/model:v2'.replace('localhost', '127.0.0.1') } },
      spec: {
        predictor: {
          canaryTrafficPercent: 5,
          model: { modelFormat: { name: 'sklearn' }, storageUri: `kit://127.0.0.1:55555/team/model@${digests.get('model:v2')}` },
        },
      },
    },
  ]);
  expect(yaml).toContain(`# roll back: `);
  expect(yaml).toContain(digests.get('model:v1'));

  // what is printed can be given back: the digest wins over the tag, and no registry is asked
  const reference = `${host}/team/model:gone@${digests.get('model:v1')}`;
  const pinned = await box.ok(['generate', 'kserve', reference, '--no-resolve', '--model-format', 'sklearn', '--format', 'json']);
  expect(JSON.parse(pinned)).toMatchObject({
    apiVersion: 'v1',
    kind: 'List',
    items: [{ spec: { predictor: { model: { storageUri: `kit://127.0.0.1:55555/team/model@${digests.get('model:v1')}` } } } }],
  });
});

test('every kind, for what it is made for', async () => {
  const { box, host, digests } = await team('car:v1', 'deploy:v1');
  const kinds: [string, string, string[], string[]][] = [
    ['kserve', 'model:v1', [], ['InferenceService']],
    ['kserve-modelcar', 'car:v1', ['--model-format', 'sklearn'], ['InferenceService']],
    ['pod-image-volume', 'car:v1', [], ['Pod']],
    ['init-container', 'model:v1', [], ['Pod']],
    ['argocd', 'deploy:v1', [], ['Application']],
    ['flux', 'deploy:v1', [], ['OCIRepository', 'Kustomization']],
    ['kyverno', 'model:v1', ['--public-key', KEY], ['ClusterPolicy']],
  ];
  for (const [kind, reference, flags, made] of kinds) {
    const yaml = await box.ok(['generate', kind, `${host}/team/${reference}`, ...flags]);
    expect(
      objectsOf(yaml).map((object) => object['kind']),
      kind,
    ).toEqual(made);
    expect(yaml, kind).toContain(digests.get(reference) ?? 'sha256:');
  }
});

test('what does not fit is refused, with what would', async () => {
  const { box, host } = await team('car:v1', 'deploy:v1');
  const refused: [string, string, string][] = [
    ['kserve', 'deploy:v1', 'is no model that can be unpacked: Flux source'],
    ['init-container', 'car:v1', 'is no model that can be unpacked: container image'],
    ['kserve-modelcar', 'model:v1', 'is no container image: ModelKit'],
    ['pod-image-volume', 'model:v1', 'is no container image: ModelKit'],
    ['argocd', 'model:v1', 'has 2 archives, and GitOps tools take one'],
    ['flux', 'car:v1', 'archives, and GitOps tools take one'],
  ];
  for (const [kind, reference, message] of refused) {
    const { status, stdout, stderr } = await box.kit(['generate', kind, `${host}/team/${reference}`]);
    expect(stderr, kind).toContain(message);
    expect(stderr, kind).toContain('\nhint: ');
    expect({ status, stdout }, kind).toEqual({ status: 1, stdout: '' });
  }
});

test('of an index, the variant that has the label', async () => {
  const { box, host, digests } = await team('model:v2');
  const index = `${host}/team/model:all`;
  await box.ok(['index', 'create', index]);
  for (const tag of ['v1', 'v2']) await box.ok(['index', 'add', index, `${host}/team/model:${tag}`, '--remote', '-l', `of=${tag}`]);
  await box.ok(['index', 'push', index]);
  expect(await box.kit(['generate', 'kserve', index])).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('choose one of what it lists: `--label KEY=VALUE`') as string,
  });
  for (const kind of ['kserve', 'init-container']) {
    expect(await box.ok(['generate', kind, index, '--label', 'of=v1'])).toContain(`/team/model@${digests.get('model:v1')}`);
  }
  expect(await box.kit(['generate', 'kserve', index, '-l', 'of=v3'])).toMatchObject({ status: 3 });
  expect(await box.kit(['generate', 'kserve', index, '-l', 'of=v1', '--no-resolve'])).toMatchObject({ status: 2 });
});

test('a ModelPack of raw layers can be mounted by CRI-O, which is said', async () => {
  const { box, host } = await team();
  await box.ok(['pack', 'm', '-t', `${host}/team/raw:v1`, '--push', '--use-model-pack']);
  const { status, stderr } = await box.kit(['generate', 'pod-image-volume', `${host}/team/raw:v1`]);
  expect(status).toBe(0);
  expect(stderr).toContain('CRI-O mounts its raw layers as files, containerd mounts nothing');
});

test('what is wrong on the command line', async () => {
  const { box, host } = await team();
  const reference = `${host}/team/model:v1`;
  const wrong: [string[], string][] = [
    [['nonsense', reference], 'unknown kind `nonsense`'],
    [['kserve', 'model:v1'], 'a cluster pulls from a registry'],
    [['kserve', reference, '--no-resolve'], '--no-resolve needs a digest'],
    [['kserve', reference, '--canary-percent', 'many'], '--canary-percent'],
    [['kserve', reference, '--path', 'x'], "unknown option '--path'"],
    [['kserve-modelcar', reference, '--scheme', 'kit'], '--scheme'],
    [['kyverno', reference], 'the policy needs to know who signs'],
    [['kyverno', reference, '--certificate-identity', 'a'], 'go together'],
  ];
  for (const [args, message] of wrong) {
    const { status, stderr } = await box.kit(['generate', ...args]);
    expect(stderr).toContain(message);
    expect(status, message).toBe(2);
  }
  expect(await box.kit(['generate', 'kserve', `${host}/team/model:gone`])).toMatchObject({ status: 3, stdout: '' });
  expect(await box.kit(['generate', 'kyverno', reference, '--public-key', 'gone.pub'])).toMatchObject({ status: 3 });
});

async function start(box: Sandbox, env: Readonly<Record<string, string>>): Promise<KitRun> {
  return await box.kit('init-container', { env });
}

describe('kit init-container', () => {
  test('does what the environment says, once', async () => {
    const { box, host } = await team('model:v2');
    const env = { MODELKIT_REF: `${host}/team/model:v2`, UNPACK_PATH: box.path('models') };
    expect(await start(box, env)).toMatchObject({ status: 0 });
    expect(await box.tree('models')).toEqual(['model.joblib']);
    // a container that starts again finds its files
    await box.write({ 'models/model.joblib': 'mine' });
    expect(await start(box, env)).toMatchObject({ status: 0 });
    expect(await readFile(box.path('models/model.joblib'), 'utf8')).toBe('mine');
    expect(await start(box, { ...env, EXTRA_FLAGS: '-o  --concurrency=2' })).toMatchObject({ status: 0 });
    expect(await readFile(box.path('models/model.joblib'), 'utf8')).toBe('two');
    expect(await start(box, { ...env, UNPACK_FILTER: 'code,kitfile' })).toMatchObject({ status: 0 });
    expect(await box.tree('models')).toEqual(['Kitfile', 'model.joblib', 'run.py']);
    const elsewhere = { ...env, EXTRA_FLAGS: `--dir ${box.path('other')}` };
    expect(await start(box, elsewhere)).toMatchObject({ status: 0 });
    expect(await box.tree('other')).toEqual(['model.joblib']);
  });

  test('unpacks only what is signed, where a key is given', async () => {
    const { box, host } = await team();
    const env = { MODELKIT_REF: `${host}/team/model:v1`, UNPACK_PATH: box.path('models'), COSIGN_KEY: box.path('cosign.pub') };
    const password = { KIT_KEY_PASSWORD: 'x' };
    await box.ok('generate-key-pair', { env: password });
    expect(await start(box, env)).toMatchObject({ status: 6, stderr: expect.stringContaining('no signatures found') as string });
    await box.ok(['sign', `${host}/team/model:v1`, '--key', 'cosign.key'], { env: password });
    expect(await start(box, env)).toMatchObject({ status: 0 });
    expect(await box.tree('models')).toEqual(['model.joblib']);
    expect(await start(box, { ...env, UNPACK_PATH: box.path('other'), COSIGN_KEY: KEY })).toMatchObject({ status: 6 });
    expect(await box.tree('.')).not.toContain('other/');
  });

  test('an identity is never skipped', async () => {
    const { box, host } = await team();
    const env = { MODELKIT_REF: `${host}/team/model:v1`, UNPACK_PATH: box.path('models') };
    const half = await start(box, { ...env, COSIGN_CERT_IDENTITY: 'ci@team.example' });
    expect(half).toMatchObject({ status: 2, stderr: expect.stringContaining('go together') as string });
    // asks for what sigstore trusts, which is not there: no network is needed to see that
    const signer = { COSIGN_CERT_IDENTITY: 'ci@team.example', COSIGN_CERT_OIDC_ISSUER: 'https://issuer.example' };
    const whole = await start(box, { ...env, ...signer, EXTRA_FLAGS: '--trusted-root gone.json' });
    expect(whole.stderr).toContain('gone.json');
    expect(whole.status).not.toBe(0);
    expect(await box.tree('.')).not.toContain('models/');
  });

  test('what is wrong in the environment', async () => {
    const { box, host } = await team();
    expect(await start(box, {})).toMatchObject({ status: 2, stderr: expect.stringContaining('$MODELKIT_REF is required') as string });
    const env = { MODELKIT_REF: `${host}/team/model:v1`, UNPACK_PATH: box.path('models') };
    const wrong: [Record<string, string>, string][] = [
      [{ EXTRA_FLAGS: '--nonsense' }, "$EXTRA_FLAGS: unknown option '--nonsense'"],
      [{ EXTRA_FLAGS: '--config /x' }, '--config is not taken here'],
      [{ EXTRA_FLAGS: 'stray' }, '$EXTRA_FLAGS: too many arguments'],
      [{ UNPACK_FILTER: 'nonsense' }, 'nonsense'],
    ];
    for (const [more, message] of wrong) {
      const { status, stderr } = await start(box, { ...env, ...more });
      expect(stderr).toContain(message);
      expect(status, message).toBe(2);
    }
    expect(await box.tree('.')).not.toContain('models/');
    expect(await start(box, { ...env, MODELKIT_REF: `${host}/team/model:gone` })).toMatchObject({ status: 3 });
  });
});
