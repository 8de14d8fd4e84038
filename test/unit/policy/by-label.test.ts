import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type Admit,
  admitPolicies,
  admitSigned,
  chooseVariant,
  type Location,
  parseLocation,
  parseReference,
  pull,
  pullIndex,
  sign,
  unpack,
} from '../../../src/index.ts';
import { coveringIndex } from '../../../src/operations/artifact/admission.ts';
import { setUpSigning, type SigningSetup } from '../signing/operations-setup.ts';
import { configure, key, policy, publishIndex } from './policy-setup.ts';

type Way = (setup: SigningSetup) => Promise<Admit | undefined>;

/** Ways to ask for the signature of `a.pub`. */
const WAYS: Readonly<Record<string, { readonly refusal: string; readonly ask: Way }>> = {
  verify: {
    refusal: 'SIGNATURE_INVALID',
    ask: async ({ kit, home }) => {
      const { openKeyVerifier } = await import('../../../src/index.ts');
      return admitSigned(kit, { verifier: await openKeyVerifier(join(home, 'a.pub')), annotations: {} });
    },
  },
  policy: {
    refusal: 'POLICY_VIOLATED',
    ask: async (setup) => {
      const file = await policy(setup, 'signatures: [{ signers: [{ key: a.pub }] }]');
      return admitPolicies(setup.kit, [{ file }]);
    },
  },
  configuration: {
    refusal: 'POLICY_VIOLATED',
    ask: async (setup) => {
      await policy(setup, 'signatures: [{ signers: [{ key: a.pub }] }]');
      await configure(setup, '[[policy]]\nfile = "p.yaml"\n');
      return undefined;
    },
  },
};

const outcome = async (work: () => Promise<unknown>): Promise<string> =>
  await work().then(
    () => 'taken',
    (error: unknown) => (error as { code: string }).code,
  );

async function tryAll(setup: SigningSetup, location: Location, admit: Admit | undefined): Promise<string[]> {
  const { kit, home } = setup;
  const directory = join(home, `out-${Math.random()}`);
  const chosen = async (lookup: 'remote' | 'local-first'): Promise<Location> =>
    (await chooseVariant(kit, location, lookup, { q: 'one' })).location;
  return [
    await outcome(async () => await pull(kit, await chosen('remote'), { admit })),
    await outcome(async () => await unpack(kit, { source: await chosen('local-first'), directory, ...(admit && { admit }) })),
  ];
}

describe.each(Object.entries(WAYS))('what is chosen by label: %s', (_name, { refusal, ask }) => {
  test('neither is signed, or only what was not chosen', async () => {
    const setup = await setUpSigning();
    const location = await publishIndex(setup);
    const signer = await key(setup, 'a');
    const admit = await ask(setup);
    expect(await tryAll(setup, location, admit)).toEqual([refusal, refusal]);
    await sign(setup.kit, { location: parseLocation(`${setup.registry.host}/team/m:other`), signer });
    expect(await tryAll(setup, location, admit)).toEqual([refusal, refusal]);
  });

  test('only the index is signed', async () => {
    const setup = await setUpSigning();
    const location = await publishIndex(setup);
    const signer = await key(setup, 'a');
    const admit = await ask(setup);
    await sign(setup.kit, { location, signer, format: 'bundle' });
    expect(await tryAll(setup, location, admit)).toEqual(['taken', 'taken']);
  });

  test('only what was chosen is signed', async () => {
    const setup = await setUpSigning();
    const location = await publishIndex(setup);
    const signer = await key(setup, 'a');
    const admit = await ask(setup);
    await sign(setup.kit, { location: parseLocation(`${setup.registry.host}/team/m:one`), signer, format: 'bundle' });
    expect(await tryAll(setup, location, admit)).toEqual(['taken', 'taken']);
  });

  test('an index in local storage whose members are in the registry', async () => {
    const setup = await setUpSigning();
    const location = await publishIndex(setup);
    const signer = await key(setup, 'a');
    await sign(setup.kit, { location, signer, format: 'bundle' });
    await pullIndex(setup.kit, parseReference(`${setup.registry.host}/team/m:all`));
    const admit = await ask(setup);
    expect(await tryAll(setup, location, admit)).toEqual(['taken', 'taken']);
  });
});

test('an index that does not list it covers nothing', async () => {
  const { target, subject } = await setUpSigning();
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }));
  const { pushBlob } = await import('../signing/sample-signatures.ts');
  const index = await pushBlob(target, 'application/vnd.oci.image.index.v1+json', bytes);
  const source = { target, name: 'x', isLocal: false };
  const open = async () => await Promise.resolve({ ...source, reference: index.digest });
  expect(await coveringIndex({ ...source, reference: subject.digest, index: { name: 'y', open } }, subject, {})).toBe(undefined);
});

test('that the index was named by a tag is not hidden by the choice', async () => {
  const setup = await setUpSigning();
  const location = await publishIndex(setup);
  const admit = admitPolicies(setup.kit, [{ file: await policy(setup, 'references: { requireDigest: true }') }]);
  const chosen = await chooseVariant(setup.kit, location, 'remote', { q: 'one' });
  await expect(pull(setup.kit, chosen.location, { admit })).rejects.toThrow(/references\.requireDigest/);
  const pinned = parseLocation(`${setup.registry.host}/team/m@${chosen.index.digest}`);
  await pull(setup.kit, (await chooseVariant(setup.kit, pinned, 'remote', { q: 'one' })).location, { admit });
});

test('what is attested of the index counts too, and the Kitfile is that of what was chosen', async () => {
  const setup = await setUpSigning();
  const location = await publishIndex(setup);
  const rules = 'sbom: {}\nkitfile: [{ path: package.license, in: [MIT] }]\nfiles: { denyContent: [pickle] }';
  const admit = admitPolicies(setup.kit, [{ file: await policy(setup, rules) }]);
  const { attest } = await import('../../../src/index.ts');
  const choose = async (q: string): Promise<Location> => (await chooseVariant(setup.kit, location, 'remote', { q })).location;
  await expect(pull(setup.kit, await choose('one'), { admit })).rejects.toThrow(/sbom: it has no bill/);
  await mkdir(join(setup.home, 'x'));
  await writeFile(join(setup.home, 'x', 'sbom.json'), '{}');
  const signer = await key(setup, 'a');
  const sbom = await policy(setup, 'sbom: { signers: [{ key: a.pub }] }\nfiles: { denyContent: [pickle] }', 'signed');
  await attest(setup.kit, { location, signer, type: 'cyclonedx', predicate: { text: '{}', file: 'sbom.json' } });
  const signed = admitPolicies(setup.kit, [{ file: sbom }]);
  await pull(setup.kit, await choose('one'), { admit: signed });
  await expect(pull(setup.kit, await choose('other'), { admit: signed })).rejects.toThrow(/1 of 2 rules is broken\n +files\.denyContent/);
});
