import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { GOLDEN, type KitRun, type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const KEYS = join(GOLDEN, 'cosign-keys');
const SIGN = ['--key', join(KEYS, 'cosign.key')];
const PASSWORD = { env: { COSIGN_PASSWORD: 'golden-test-only' } };
const KITFILE = 'manifestVersion: 1.0.0\npackage: {name: m, license: MIT}\nmodel: {path: w.bin}\n';

/** A registry that holds `team/m:v1`, and a policy that asks for a signature. */
async function setUp(): Promise<{ box: Sandbox; name: string }> {
  const registry = await startRegistry();
  onTestFinished(async () => {
    await registry.close();
  });
  const box = await sandbox();
  const key = await readFile(join(KEYS, 'cosign.pub'), 'utf8');
  await box.write({
    'm/Kitfile': KITFILE,
    'm/w.bin': 'data',
    'policies/cosign.pub': key,
    'policies/release.yaml': `version: 1
name: release
signatures:
  - name: team
    signers: [{ key: cosign.pub }]
kitfile:
  - path: package.license
    in: [Apache-2.0, MIT]
  - path: package.description
    exists: true
`,
  });
  const name = `${registry.host}/team/m:v1`;
  await box.ok(`pack m -t ${name} --push`);
  return { box, name };
}

/** Digests and ports differ from run to run. */
function masked({ status, stdout, stderr }: KitRun): KitRun {
  return { status, stdout: withoutDigests(stdout), stderr: withoutDigests(stderr) };
}

function withoutDigests(text: string): string {
  return text.replaceAll(/sha256:[0-9a-f]{64}/g, 'sha256:<DIGEST>');
}

test('every broken rule is named, and what to do about it', async () => {
  const { box, name } = await setUp();
  expect(masked(await box.kit(`verify ${name} --policy policies/release.yaml`))).toMatchInlineSnapshot(`
    exit 6
    --- stderr
    error: 127.0.0.1:55555/team/m:v1@sha256:<DIGEST> is refused
      policy release (policies/release.yaml): 2 of 3 rules are broken
        kitfile.package.description: package.description is missing or empty
          correct package.description in the Kitfile and pack it again
        signatures.team: it has no signatures: nobody has signed it of those who must (cosign.pub)
          whoever must sign it does so by \`kit sign 127.0.0.1:55555/team/m:v1\`

    hint: \`kit verify 127.0.0.1:55555/team/m:v1 --policy policies/release.yaml\` checks it again; \`--format json\` shows every rule
  `);
  const run = await box.kit(`verify ${name} --policy policies/release.yaml --format json`);
  expect(run.status).toBe(6);
  expect(JSON.parse(run.stdout)).toMatchObject({
    passed: false,
    policies: [
      {
        policy: 'release',
        file: 'policies/release.yaml',
        mode: 'enforce',
        rules: [
          { rule: 'kitfile.package.license', passed: true },
          { rule: 'kitfile.package.description', passed: false },
          { rule: 'signatures.team', passed: false },
        ],
      },
    ],
  });
});

test('with --policy nothing is written of what it refuses', async () => {
  const { box, name } = await setUp();
  await box.write({ 'm/Kitfile': KITFILE.replace('license: MIT', 'license: MIT, description: d') });
  await box.ok(`pack m -t ${name} --push`);
  for (const command of [`pull ${name}`, `unpack ${name} -d out`, `copy ${name} oci:copied:v1`]) {
    const run = await box.kit(`${command} --policy policies/release.yaml`);
    expect(run.status).toBe(6);
    expect(run.stderr).toContain('signatures.team: it has no signatures');
  }
  expect((await box.tree('.')).filter((path) => /^out|blobs\/sha256\/./.test(path))).toEqual([]);
  await box.kit(['sign', name, ...SIGN], PASSWORD);
  expect(await box.kit(`verify ${name} --policy policies/release.yaml`)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^\S+: policy release \(policies\/release.yaml\): all 3 rules hold\n$/) as string,
    stderr: '',
  });
  expect(await box.kit(`unpack ${name} -d out --policy policies/release.yaml`)).toMatchObject({ status: 0 });
  expect(await box.tree('out')).toEqual(['Kitfile', 'w.bin']);
  expect(await box.kit(`pull ${name} --policy policies/release.yaml --verify ${SIGN[0]} ${join(KEYS, 'wrong.pub')}`)).toMatchObject({
    status: 6,
  });
});

describe('the configuration', () => {
  test('refuses without being asked, from local storage too, and says which policy applies', async () => {
    const { box, name } = await setUp();
    await box.ok(`pull ${name}`);
    const repository = name.replace(/:v1$/, '');
    await writeFile(
      join(box.home, 'config.toml'),
      `[[policy]]\nfile = "../policies/release.yaml"\nrepositories = ["${repository.replace(/m$/, '**')}"]\n`,
    );
    expect((await box.kit(`policy list ${name}`)).stdout).toMatch(
      /^<TMP>\/policies\/release\.yaml: \S+\/team\/\*\*, by <TMP>\/home\/config\.toml\n$/,
    );
    expect((await box.kit('policy list other:v1')).stdout).toBe('no policy of the configuration applies to other:v1\n');
    for (const command of [
      `unpack ${name} -d out`,
      `pull ${name}`,
      `cat ${name} w.bin`,
      `promote ${name} ${repository}:prod`,
      `init-container`,
    ]) {
      const env = command === 'init-container' ? { env: { MODELKIT_REF: name, UNPACK_PATH: box.path('out') } } : {};
      const run = await box.kit(command, env);
      expect([command, run.status, run.stdout]).toEqual([command, 6, '']);
      expect(run.stderr).toContain('policy release (<TMP>/policies/release.yaml): 2 of 3 rules are broken');
    }
    expect((await box.tree('.')).filter((path) => path.startsWith('out'))).toEqual([]);
    // what only looks is not refused
    expect(await box.kit(`info ${name}`)).toMatchObject({ status: 0 });
    expect(await box.kit(`files ${name}`)).toMatchObject({ status: 0 });
    await rm(join(box.home, 'config.toml'));
    expect(await box.kit(`unpack ${name} -d out`)).toMatchObject({ status: 0 });
  });
});

describe('kit policy', () => {
  test('eval judges any document', async () => {
    const box = await sandbox();
    const policy = join(ROOT, 'examples', 'policies', 'kserve-storage.yaml');
    const good = await readFile(join(ROOT, 'examples', 'policies', 'inference-services', 'ours.yaml'), 'utf8');
    await box.write({
      'good.yaml': good,
      'bad.json': '{"kind":"InferenceService","metadata":{"name":"x"},"spec":{"storageUri":"s3://b"}}',
    });
    const ok = await box.kit(['policy', 'eval', policy, '--input', 'good.yaml']);
    expect(ok).toMatchObject({ status: 0, stderr: '' });
    expect(ok.stdout.split('\n').map((line) => line.split(':')[0])).toEqual([
      'good.yaml InferenceService/llama',
      'good.yaml InferenceService/embedder',
      '',
    ]);
    const bad = await box.kit(['policy', 'eval', policy, '--input', 'good.yaml', '--input', 'bad.json']);
    expect(bad.status).toBe(6);
    expect(bad.stderr).toContain('bad.json InferenceService/x is refused\n  policy kserve-storage');
    expect(bad.stderr).toContain('conditions.from-our-registries: $.spec..["storageUri", "uri"] is `s3://b`, not like oci://');
  });

  test('eval reads standard input', async () => {
    const box = await sandbox();
    const policy = join(ROOT, 'examples', 'policies', 'kserve-storage.yaml');
    const run = await box.kit(['policy', 'eval', policy, '--input', '-'], { stdin: '{"spec":{"storageUri":"s3://b"}}' });
    expect(run).toMatchObject({ status: 6, stderr: expect.stringContaining('standard input is refused') as string });
  });

  test('a bundle of opa', async () => {
    const { box, name } = await setUp();
    const bundle = join(ROOT, 'fixtures', 'policies', 'release.tar.gz');
    expect(await box.kit(['policy', 'eval', bundle, '--against', name])).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('rego.release.deny: it is not signed by anybody who is asked for') as string,
    });
  });

  test('runs tests', async () => {
    const box = await sandbox();
    const run = await box.kit(['policy', 'test', join(ROOT, 'examples', 'policies')]);
    expect(run).toMatchObject({ status: 0, stderr: '' });
    expect(
      run.stdout
        .trim()
        .split('\n')
        .every((line) => line.startsWith('ok ')),
    ).toBe(true);
    await box.write({
      'p.yaml': 'version: 1\nname: p\nformats: [modelkit]\n',
      'p_test.yaml':
        'version: 1\npolicy: p.yaml\ncases:\n  - { name: good, input: { format: modelkit }, expect: pass }\n  - { name: bad, input: {}, expect: pass }\n',
    });
    expect(await box.kit('policy test .')).toMatchInlineSnapshot(`
      exit 1
      --- stdout
      ok p_test.yaml: good
      --- stderr
      error: 1 of 2 cases failed
        p_test.yaml: bad: formats: its format is not known, not one of modelkit

      hint: correct the policy, or what the case expects
    `);
  });

  test('an empty list breaks nothing, which is said', async () => {
    const box = await sandbox();
    await box.write({ 'p.yaml': 'version: 1\nname: p\nconditions: [{ path: a, equals: 1 }]\n' });
    const run = await box.kit(['policy', 'eval', 'p.yaml', '--input', '-'], { stdin: 'apiVersion: v1\nkind: List\nitems: []\n' });
    expect(run).toMatchObject({ status: 0, stdout: '', stderr: 'warning: standard input is an empty list: nothing in it was judged\n' });
    const nothing = await box.kit(['policy', 'eval', 'p.yaml', '--input', '-'], { stdin: '' });
    expect(nothing).toMatchObject({ status: 2, stderr: expect.stringContaining('standard input holds no document') as string });
  });

  test('input prints the document', async () => {
    const { box, name } = await setUp();
    expect(JSON.parse(await box.ok(`policy input ${name}`))).toMatchObject({
      tag: 'v1',
      kitfile: { package: { license: 'MIT' } },
      files: [{ path: 'w.bin' }],
    });
  });

  test.each([
    ['eval p.yaml', 2, 'there is nothing to judge'],
    ['show', 2, 'unknown command `policy show`'],
    ['eval missing.yaml --input x', 3, 'missing.yaml does not exist'],
    ['test .', 3, '. holds no tests of policies'],
    ['list', 0, ''],
    // who must have signed is said by the policy, and whom to trust here
    ['input m:v1 --certificate-identity x', 2, "unknown option '--certificate-identity'"],
    ['input m:v1 --insecure-ignore-tlog', 2, "unknown option '--insecure-ignore-tlog'"],
    ['input m:v1 --offline --trusted-root x', 3, 'm:v1 is not in local storage'],
  ])('%s', async (command, status, message) => {
    const box = await sandbox();
    const run = await box.kit(`policy ${command}`);
    expect(run.status).toBe(status);
    expect(run.stderr).toContain(message);
  });
});

test.each([
  ['verify m:v1 --policy p.yaml --key k', '--key does not go with --policy'],
  ['verify m:v1 --policy p.yaml --certificate-identity x', '--certificate-identity does not go with --policy'],
  ['pull localhost:1/m:v1 --policy p.yaml --certificate-identity x', '--certificate-identity goes with --verify'],
])('%s', async (command, message) => {
  const box = await sandbox();
  const run = await box.kit(command);
  expect(run.status).toBe(2);
  expect(run.stderr).toContain(message);
});
