import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  admitPolicies,
  cat,
  checkPolicy,
  convert,
  copy,
  load,
  type Location,
  parseLocation,
  parseReference,
  promote,
  pull,
  pullIndex,
  rollback,
  save,
  unpack,
} from '../../../src/index.ts';
import { SOURCE_DIGEST } from '../../../src/formats/modelcar.ts';
import { setUpSigning, type SigningSetup } from '../signing/operations-setup.ts';
import { pushBlob } from '../signing/sample-signatures.ts';
import { configure, PICKLE, policy, publish, publishIndex } from './policy-setup.ts';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const NO_PICKLE = 'files: { denyContent: [pickle] }';
const refused = { code: 'POLICY_VIOLATED' };

/** An index of a good ModelKit and one with a pickle, each with what `fields` gives. */
async function craftIndex(setup: SigningSetup, fields: readonly Readonly<Record<string, unknown>>[]) {
  const tags = ['good', 'bad'];
  await publish(setup, 'm:good', { 'w/1': '1' });
  await publish(setup, 'm:bad', { 'w/x.dat': PICKLE });
  const target = await repositoryOf(setup);
  const manifests: object[] = [];
  for (const [position, tag] of tags.entries()) manifests.push({ ...(await target.resolve(tag)), ...fields[position] });
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }));
  const index = await pushBlob(target, INDEX, bytes);
  await target.tag(index, 'mixed');
  return { location: parseLocation(`${setup.registry.host}/team/m:mixed`), bad: (await target.resolve('bad')).digest };
}

async function repositoryOf({ kit, registry }: SigningSetup) {
  const { openRemote } = await import('../../../src/operations/artifact/open-location.ts');
  return await openRemote(kit, parseReference(`${registry.host}/team/m`));
}

describe('an index that one of its members stands for', () => {
  const MARK = { artifactType: 'application/vnd.kitops.modelkit.manifest.v1+json' };
  const SAME = { annotations: { [SOURCE_DIGEST]: `sha256:${'0'.repeat(64)}` } };

  test.each([
    ['the one that is marked as a model', [MARK, {}]],
    ['the first of what claims to be one artifact for several platforms', [SAME, SAME]],
  ])('%s: the others are judged as well', async (_name, fields) => {
    const setup = await setUpSigning();
    const { kit, home, registry } = setup;
    const { location, bad } = await craftIndex(setup, fields);
    const file = await policy(setup, NO_PICKLE);
    const { policies } = await checkPolicy(kit, { location, policies: [file], lookup: 'remote' });
    expect(policies.flatMap(({ rules }) => rules.filter(({ passed }) => !passed).map(({ digest }) => digest))).toEqual([bad]);
    const admit = admitPolicies(kit, [{ file }]);
    await expect(pull(kit, location, { admit })).rejects.toThrow(bad);
    await expect(copy(kit, { source: location, destination: parseLocation(`${registry.host}/prod/m:v1`), admit })).rejects.toThrow(bad);
    await expect(unpack(kit, { source: location, directory: join(home, 'out'), admit })).rejects.toThrow(bad);
    expect((await (await kit.store()).list()).length).toBe(0);
  });

  test('what is no manifest cannot be judged', async () => {
    const setup = await setUpSigning();
    const { location } = await craftIndex(setup, [MARK, { mediaType: 'application/octet-stream' }]);
    const file = await policy(setup, NO_PICKLE);
    await expect(checkPolicy(setup.kit, { location, policies: [file], lookup: 'remote' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});

/** A registry with `team/m:v1`, which the configuration refuses. */
async function forbidden(files?: Readonly<Record<string, string | Buffer>>) {
  const setup = await setUpSigning();
  const location = await publish(setup, 'm:v1', files);
  await policy(setup, 'formats: [omlmd]');
  return { ...setup, location, name: `${setup.registry.host}/team/m` };
}

const everywhere = '[[policy]]\nfile = "p.yaml"\n';

test('another spelling of the host', async () => {
  const setup = await forbidden();
  await configure(setup, `[[policy]]\nfile = "p.yaml"\nrepositories = ["${setup.registry.host}/**"]\n`);
  const port = setup.registry.host.split(':')[1] ?? '';
  for (const host of ['127.1', '0x7f.0.0.1', '127.0.1'])
    await expect(pull(setup.kit, parseLocation(`${host}:${port}/team/m:v1`))).rejects.toMatchObject(refused);
});

test('by digest, to local storage, as another format, and under another tag', async () => {
  const setup = await forbidden();
  const { kit, home, location, name } = setup;
  const { digest } = await (await repositoryOf(setup)).resolve('v1');
  await configure(setup, everywhere);
  const pinned = parseLocation(`${name}@${digest}`);
  for (const source of [location, pinned]) {
    await expect(pull(kit, source)).rejects.toMatchObject(refused);
    await expect(unpack(kit, { source, directory: join(home, 'out') })).rejects.toMatchObject(refused);
    await expect(copy(kit, { source, destination: parseLocation(`${name}:v1`), toLocal: true })).rejects.toMatchObject(refused);
    await expect(convert(kit, { source, destination: parseLocation('m:omlmd'), to: 'omlmd' })).rejects.toMatchObject(refused);
    await expect(promote(kit, { source, destination: parseLocation(`${name}:prod`) })).rejects.toMatchObject(refused);
  }
  expect((await (await kit.store()).list()).length).toBe(0);
});

test('an index alone', async () => {
  const setup = await setUpSigning();
  const location = await publishIndex(setup);
  await policy(setup, NO_PICKLE);
  await configure(setup, everywhere);
  const name = parseReference(`${setup.registry.host}/team/m:all`);
  await expect(pullIndex(setup.kit, name)).rejects.toMatchObject(refused);
  await expect(pull(setup.kit, location)).rejects.toMatchObject(refused);
});

describe('an archive', () => {
  test('is not made of it', async () => {
    const setup = await forbidden();
    const { kit, home, location, name } = setup;
    const output = join(home, 'a.tar');
    await pull(kit, location);
    await configure(setup, everywhere);
    for (const reference of [`${name}:v1`, `${name}@${(await (await repositoryOf(setup)).resolve('v1')).digest}`])
      await expect(save(kit, { references: [parseReference(reference)], output })).rejects.toMatchObject(refused);
    await expect(copy(kit, { source: location, destination: parseLocation(`oci-archive:${output}:v1`) })).rejects.toMatchObject(refused);
  });

  test.each([
    ['without a name', (name: string, digest: string) => `${name}@${digest}`],
    ['under a tag of signatures', (name: string) => `${name}:sha256-${'0'.repeat(64)}.sig`],
    ['under the tag of a list of referrers', (name: string) => `${name}:sha256-${'0'.repeat(64)}`],
  ])('does not bring it %s', async (_name, as) => {
    const setup = await forbidden();
    const { kit, home, name } = setup;
    const target = await repositoryOf(setup);
    const manifest = await target.resolve('v1');
    const reference = parseReference(as(name, manifest.digest));
    for (const tag of reference.tags) await target.tag(manifest, tag);
    const output = join(home, 'a.tar');
    await save(kit, { references: [reference], output });
    await configure(setup, everywhere);
    await expect(load(kit, { input: output })).rejects.toMatchObject(refused);
    expect((await (await kit.store()).list()).length).toBe(0);
  });
});

test('a part of a layer, which no digest covers, is no way around what was signed', async () => {
  const setup = await setUpSigning();
  const { kit } = setup;
  const source = await publish(setup, 'm:v1', { 'w/large.bin': Buffer.alloc(17 * 1024 * 1024), 'w/small.txt': 'small' });
  const read = async () => (await cat(kit, { source, path: 'w/small.txt' }, async () => await Promise.resolve())).verified;
  expect(await read()).toBe(false);
  await policy(setup, 'formats: [modelkit]');
  await configure(setup, everywhere);
  expect(await read()).toBe(true);
});

test.each<[string, (setup: SigningSetup) => Location]>([
  ['a registry', ({ registry }) => parseLocation(`${registry.host}/team/m:prod`)],
  ['an image layout', ({ home }) => parseLocation(`oci:${join(home, 'layout')}:prod`)],
])('what was once released, and is forbidden by now: %s', async (_name, at) => {
  const setup = await setUpSigning();
  const { kit } = setup;
  const destination = at(setup);
  const bad = await publish(setup, 'm:bad', { 'w/x.dat': PICKLE });
  const good = await publish(setup, 'm:good', { 'w/1': '1' });
  await promote(kit, { source: bad, destination });
  await promote(kit, { source: good, destination });
  await policy(setup, NO_PICKLE);
  await configure(setup, everywhere);
  await expect(rollback(kit, { location: destination })).rejects.toMatchObject(refused);
  await configure(setup, '');
  await rollback(kit, { location: destination });
});
