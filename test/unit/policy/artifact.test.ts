import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  attest,
  cat,
  checkPolicy,
  copy,
  load,
  pack,
  parseLocation,
  parseReference,
  policyInput,
  promote,
  pull,
  save,
  sign,
  unpack,
} from '../../../src/index.ts';
import { policiesFor } from '../../../src/operations/policy/configured.ts';
import { makeKey, setUpSigning, type SigningSetup } from '../signing/operations-setup.ts';
import { configure, key, PICKLE, policy, publish, publishIndex } from './policy-setup.ts';

const ZIP = Buffer.concat([
  Buffer.from('504b0304', 'hex'),
  Buffer.alloc(22),
  Buffer.from([8, 0, 0, 0]),
  Buffer.from('data.pkl'),
  Buffer.alloc(20),
]);

async function brokenRules(setup: SigningSetup, location: ReturnType<typeof parseLocation>, file: string): Promise<string[]> {
  const { policies } = await checkPolicy(setup.kit, { location, policies: [file] });
  return policies.flatMap(({ rules }) => rules.filter(({ passed }) => !passed).map(({ rule }) => rule));
}

const NO_PICKLE = "files: { deny: ['*.pkl'], denyContent: [pickle] }";

describe('an index of several', () => {
  test('each of them is judged, so that nothing is carried past a policy in it', async () => {
    const setup = await setUpSigning();
    const location = await publishIndex(setup);
    const file = await policy(setup, `${NO_PICKLE}\nconditions: [{ name: free, path: '$.files[?@.pickle == true]', exists: false }]`);
    const { passed, policies } = await checkPolicy(setup.kit, { location, policies: [file], lookup: 'remote' });
    expect(passed).toBe(false);
    const wrong = policies.flatMap(({ rules }) => rules.filter((rule) => !rule.passed));
    const other = (await checkPolicy(setup.kit, { location: parseLocation(`${setup.registry.host}/team/m:other`), policies: [file] }))
      .digest;
    expect(wrong.map(({ rule, digest }) => [rule, digest])).toEqual([
      ['files.denyContent', other],
      ['conditions.free', other],
    ]);
    await configure(setup, '[[policy]]\nfile = "p.yaml"\n');
    await expect(
      copy(setup.kit, { source: location, destination: parseLocation(`${setup.registry.host}/prod/m:all`) }),
    ).rejects.toMatchObject({
      code: 'POLICY_VIOLATED',
    });
    await expect(pull(setup.kit, location)).rejects.toMatchObject({ code: 'POLICY_VIOLATED' });
  });

  test('its own signature covers them', async () => {
    const setup = await setUpSigning();
    const location = await publishIndex(setup);
    const signer = await key(setup, 'a');
    const file = await policy(setup, 'signatures: [{ signers: [{ key: a.pub }] }]\nkitfile: [{ path: package.license, in: [MIT] }]');
    const judge = async () => (await checkPolicy(setup.kit, { location, policies: [file], lookup: 'remote' })).passed;
    expect(await judge()).toBe(false);
    await sign(setup.kit, { location, signer });
    expect(await judge()).toBe(true);
  });
});

describe('files', () => {
  test('those that stay elsewhere', async () => {
    const setup = await setUpSigning();
    const directory = join(setup.home, 'remote');
    await mkdir(directory);
    const text = [
      'manifestVersion: 1.0.0',
      'package: {name: m}',
      'datasets:',
      '  - {name: d, path: d/x.pkl, remotePath: s3://bucket/x, remoteHash: 9b2cf535f27731c974343645a3985328}',
      '  - {name: other, path: e, remotePath: "ghcr.io/team/data:v1", remoteHash: "sha256:0"}',
    ];
    await writeFile(join(directory, 'Kitfile'), `${text.join('\n')}\n`);
    const destination = parseLocation(`${setup.registry.host}/team/remote:v1`);
    await pack(setup.kit, { directory, destination, push: true, verifyRemote: false });
    expect(await brokenRules(setup, destination, await policy(setup, NO_PICKLE))).toEqual(['files.deny', 'files.denyContent']);
  });

  test.each([
    ['nothing of the kind', {}, false, []],
    ['a name in a tar layer', { 'w/x.PKL': 'text' }, false, ['files.deny']],
    ['a pickle under another name in a tar layer', { 'w/model.dat': PICKLE }, false, ['files.denyContent']],
    ['one as PyTorch writes it', { 'w/model.dat': ZIP }, false, ['files.denyContent']],
    ['both', { 'w/x.pkl': PICKLE }, false, ['files.deny', 'files.denyContent']],
    ['a name of a raw layer', { 'w/x.pkl': 'text' }, true, ['files.deny']],
    ['the content of a raw layer', { 'w/model.dat': PICKLE }, true, ['files.denyContent']],
  ])('%s', async (name, files, raw, expected) => {
    const setup = await setUpSigning();
    const location = await publish(setup, `m:${name.replace(/\W/g, '-')}`, files, raw);
    const file = await policy(setup, NO_PICKLE);
    expect(await brokenRules(setup, location, file)).toEqual(expected);
    await pull(setup.kit, location);
    expect(await brokenRules(setup, location, file)).toEqual(expected);
  });
});

describe('signatures', () => {
  const RULES = 'signatures: [{ name: two, count: 2, signers: [{ key: a.pub }, { key: b.pub }, { name: again, key: a.pub }] }]';

  test('two of a list, in the registry and for what was pulled', async () => {
    const setup = await setUpSigning();
    const { kit } = setup;
    const [a, b, other] = [await key(setup, 'a'), await key(setup, 'b'), await key(setup, 'c')];
    const location = await publish(setup, 'm:v1');
    const file = await policy(setup, RULES);
    const message = async (): Promise<string | undefined> =>
      (await checkPolicy(kit, { location, policies: [file] })).policies[0]?.rules[0]?.message;
    expect(await message()).toContain('it has no signatures: nobody has signed it');
    await sign(kit, { location, signer: a, format: 'bundle' });
    expect(await message()).toContain('1 of 2 has signed it');
    await sign(kit, { location, signer: a, format: 'legacy' });
    await sign(kit, { location, signer: other, format: 'bundle' });
    expect(await message()).toContain('1 of 2 has signed it');
    expect(await message()).toContain('by none of the keys a.pub, b.pub, again');
    await sign(kit, { location, signer: b, format: 'legacy' });
    expect(await message()).toBeUndefined();
    // signatures stay in the registry
    await pull(kit, location);
    expect(await message()).toBeUndefined();
  });

  test('what is in local storage is judged by what is known here when the registry is away', async () => {
    const setup = await setUpSigning();
    const { kit, registry } = setup;
    const a = await key(setup, 'a');
    const location = await publish(setup, 'm:v1');
    await sign(kit, { location, signer: a, format: 'bundle' });
    const file = await policy(setup, 'signatures: [{ signers: [{ key: a.pub }] }]');
    await pull(kit, location);
    await registry.close();
    const { passed, policies } = await checkPolicy(kit, { location, policies: [file] });
    expect(passed).toBe(false);
    expect(policies[0]?.rules[0]?.message).toMatch(/not known: what lies in the registry: .*127\.0\.0\.1/);
  });

  test('attestations by somebody else do not count', async () => {
    const setup = await setUpSigning();
    const { kit } = setup;
    const [a, b] = [await key(setup, 'a'), await key(setup, 'b')];
    const location = await publish(setup, 'm:v1');
    const file = await policy(
      setup,
      "attestations: [{ name: t, type: 'https://example.com/t', signers: [{ key: a.pub }], conditions: [{ path: ok, equals: true }] }]",
    );
    const attested = async (signer: typeof a, text: string) =>
      await attest(kit, { location, signer, type: 'https://example.com/t', predicate: { text, file: 'p.json' } });
    await attested(b, '{"ok":true}');
    await attested(a, '{"ok":false}');
    await sign(kit, { location, signer: a });
    expect(await brokenRules(setup, location, file)).toEqual(['attestations.t']);
    await attested(a, '{"ok":true}');
    expect(await brokenRules(setup, location, file)).toEqual([]);
  });
});

describe('the configuration', () => {
  test('nothing is written of what it refuses, whichever way', async () => {
    const setup = await setUpSigning();
    const { kit, registry, home } = setup;
    const location = await publish(setup, 'm:v1');
    const name = `${registry.host}/team`;
    await policy(setup, 'signatures: [{ signers: [{ key: a.pub }] }]');
    const a = await key(setup, 'a');
    await configure(setup, `[[policy]]\nfile = "p.yaml"\nrepositories = "${registry.host}/team/*"\n`);
    registry.clear();
    const refused = { code: 'POLICY_VIOLATED' };
    const directory = join(home, 'out');
    await expect(pull(kit, location)).rejects.toMatchObject(refused);
    await expect(unpack(kit, { source: location, directory })).rejects.toMatchObject(refused);
    await expect(cat(kit, { source: location, path: 'w/a.safetensors' }, async () => await Promise.resolve())).rejects.toMatchObject(
      refused,
    );
    await expect(copy(kit, { source: location, destination: parseLocation('local:v1') })).rejects.toMatchObject(refused);
    await expect(promote(kit, { source: location, destination: parseLocation(`${name}/m:prod`) })).rejects.toMatchObject(refused);
    const { layers } = await manifestOf(setup, location);
    const log = registry.log();
    expect(layers.filter(({ digest }) => log.some((line) => line.includes(digest)))).toEqual([]);
    expect(log.filter((line) => /^(PUT|POST|PATCH)/.test(line))).toEqual([]);
    expect((await (await kit.store()).list()).length).toBe(0);
    await sign(kit, { location, signer: a });
    await pull(kit, location);
    await unpack(kit, { source: location, directory });
    await promote(kit, { source: location, destination: parseLocation(`${name}/m:prod`) });
    // an archive is no way around it
    await save(kit, { references: [parseReference(`${name}/m:v1`)], output: join(home, 'a.tar') });
    await configure(setup, `[[policy]]\nfile = "p.yaml"\n\n[[policy]]\nfile = "none.yaml"\n`);
    await policy(setup, 'formats: [omlmd]', 'none');
    await expect(load(kit, { input: join(home, 'a.tar') })).rejects.toMatchObject(refused);
  });

  test('it applies to where something goes, too', async () => {
    const setup = await setUpSigning();
    const { kit, registry } = setup;
    const location = await publish(setup, 'm:v1');
    await policy(setup, `references: { allow: ['${registry.host}/prod/**'] }\nkitfile: [{ path: package.license, equals: Apache-2.0 }]`);
    await configure(setup, `[[policy]]\nfile = "p.yaml"\nrepositories = ["${registry.host}/prod/**"]\n`);
    await pull(kit, location);
    const destination = parseLocation(`${registry.host}/prod/m:v1`);
    await expect(promote(kit, { source: location, destination })).rejects.toThrow(/1 of 2 rules is broken\n {4}kitfile\.package\.license/);
  });

  test('warn tells and lets pass', async () => {
    const setup = await setUpSigning();
    const location = await publish(setup, 'm:v1');
    await policy(setup, 'formats: [omlmd]');
    await configure(setup, '[[policy]]\nfile = "p.yaml"\nmode = "warn"\n');
    const warnings: string[] = [];
    await pull(setup.kit, location, { onEvent: (event) => event.type === 'warning' && warnings.push(event.message) });
    expect(warnings).toEqual([expect.stringContaining('formats: its format is modelkit, not one of omlmd') as string]);
  });

  test('which applies to what', async () => {
    const setup = await setUpSigning();
    await configure(
      setup,
      '[[policy]]\nfile = "a.yaml"\nrepositories = ["ghcr.io/team/**"]\n[[policy]]\nfile = "b.yaml"\n[[policy]]\nfile = "c.yaml"\nrepositories = "docker.io/library/*"\n',
    );
    const of = async (name: string) =>
      (await policiesFor(setup.kit, parseLocation(name))).map(({ file }) => file.slice(setup.home.length + 1));
    expect(await of('ghcr.io/team/m:v1')).toEqual(['a.yaml', 'b.yaml']);
    expect(await of('GHCR.IO:443/team/m:v1')).toEqual(['a.yaml', 'b.yaml']);
    expect(await of('ghcr.io/teammate/m:v1')).toEqual(['b.yaml']);
    expect(await of('index.docker.io/m')).toEqual(['b.yaml', 'c.yaml']);
    expect(await of('m:v1')).toEqual(['b.yaml']);
    expect(await of('oci:dir:v1')).toEqual(['b.yaml']);
    expect(await of('oci:dir:ghcr.io/team/m:v1')).toEqual(['a.yaml', 'b.yaml']);
    // a bare digest is in any repository of local storage
    expect(await of(`sha256:${'0'.repeat(64)}`)).toEqual(['a.yaml', 'b.yaml', 'c.yaml']);
  });

  test.each([
    ['[[policy]]\nfile = "p.yaml"\nfil = "p.yaml"', 'unknown key `fil`'],
    ['[[policy]]\nfile = "p.yaml"\nrepositories = "a["', 'is no pattern'],
    ['[[policy]]\nfile = "p.yaml"\nmode = "ask"', 'policy.0.mode'],
    ['[[policy]]\nrepositories = "**"', 'policy.0.file'],
  ])('%s', async (text, message) => {
    const setup = await setUpSigning();
    await configure(setup, text);
    await expect(pull(setup.kit, setup.location)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(message) as string,
    });
  });

  test('a policy that is not there refuses everything', async () => {
    const setup = await setUpSigning();
    await configure(setup, '[[policy]]\nfile = "missing.yaml"\n');
    await expect(pull(setup.kit, setup.location)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });
});

test('the document that rules in Rego see', async () => {
  const setup = await setUpSigning();
  const { kit, registry } = setup;
  const location = await publish(setup, 'm:v1', { 'w/x.pkl': PICKLE });
  await sign(kit, { location, signer: makeKey().signer, format: 'bundle', annotations: { stage: 'prod' } });
  const document = await policyInput(kit, { location, policies: [] });
  expect(document).toMatchObject({
    reference: `${registry.host}/team/m:v1`,
    registry: registry.host,
    repository: 'team/m',
    tag: 'v1',
    digest: expect.stringMatching(/^sha256:/) as string,
    pinned: false,
    local: false,
    format: 'modelkit',
    kitfile: { package: { name: 'm', license: 'MIT' } },
    manifest: { schemaVersion: 2 },
    files: [
      { path: 'w/a.safetensors', size: 4, pickle: false },
      { path: 'w/x.pkl', size: 64, pickle: true },
    ],
    signatures: [{ kind: 'bundle', accepted: false, reason: 'the policy names no key that could have made it' }],
    sboms: [],
  });
});

async function manifestOf({ kit }: SigningSetup, location: ReturnType<typeof parseLocation>) {
  const { manifest } = (await policyInput(kit, { location, policies: [] })) as { manifest: { layers: { digest: string }[] } };
  return manifest;
}
