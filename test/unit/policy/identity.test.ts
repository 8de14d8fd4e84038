import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { attest, checkPolicy, sign } from '../../../src/index.ts';
import { openSigner } from '../../../src/signing/open-signer.ts';
import type { Signer } from '../../../src/signing/signer.ts';
import { fakeToken, type SigstoreMock, startSigstoreMock } from '../../support/sigstore-mock.ts';
import { setUpSigning, type SigningSetup } from '../signing/operations-setup.ts';
import { makeSigner } from '../signing/sample-signatures.ts';

const WHO = 'identity: dev@example.com, issuer: https://issuer.example.com';

let directory: string;
let mock: SigstoreMock;
let identity: Signer;
let setup: SigningSetup;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'policy-identity-'));
  mock = await startSigstoreMock(directory);
  identity = await openSigner({ ...mock.services, env: { SIGSTORE_ID_TOKEN: fakeToken() } });
});
afterAll(async () => {
  await mock.close();
  await rm(directory, { recursive: true, force: true });
});

/** The broken rules with their messages, of a policy that trusts the mock. */
async function broken(rules: string, trust = `{ trustedRoot: ${mock.trustedRoot} }`): Promise<Record<string, string | undefined>> {
  const file = join(setup.home, 'p.yaml');
  await writeFile(file, `version: 1\nname: p\ntrust: ${trust}\n${rules}\n`);
  const { policies } = await checkPolicy(setup.kit, { location: setup.location, policies: [file] });
  return Object.fromEntries(
    policies.flatMap((one) => one.rules.filter(({ passed }) => !passed)).map(({ rule, message }) => [rule, message]),
  );
}

function signatures(signer: string, more = ''): string {
  return `signatures: [{ name: s, signers: [{ ${signer} }] ${more} }]`;
}

test('who signed is proven by the authority, and compared by the policy', async () => {
  setup = await setUpSigning();
  expect((await broken(signatures(WHO)))['signatures.s']).toContain('it has no signatures');
  await sign(setup.kit, { location: setup.location, signer: identity, format: 'bundle', annotations: { stage: 'prod' } });
  expect(await broken(signatures(WHO))).toEqual({});
  expect(await broken(signatures('identityRegexp: "[a-z]+@example[.]com", issuerRegexp: "https://.*[.]example[.]com"'))).toEqual({});
  expect(await broken(signatures(WHO, ', annotations: { stage: prod }, maxAge: 1d'))).toEqual({});
  expect((await broken(signatures(WHO, ', annotations: { stage: test }')))['signatures.s']).toContain('its annotation stage is not `test`');
  expect((await broken(signatures('identity: dev@example.co, issuer: https://issuer.example.com')))['signatures.s']).toContain(
    'it is by dev@example.com (https://issuer.example.com)',
  );
  expect((await broken(signatures('identity: dev@example.com, issuer: https://other.example.com')))['signatures.s']).toContain(
    'nobody has signed',
  );
});

test('another authority proves nothing', async () => {
  setup = await setUpSigning();
  await sign(setup.kit, { location: setup.location, signer: identity, format: 'bundle' });
  const folder = join(directory, 'other');
  await mkdir(folder, { recursive: true });
  const other = await startSigstoreMock(folder);
  try {
    const found = await broken(signatures(WHO), `{ trustedRoot: ${other.trustedRoot} }`);
    expect(found['signatures.s']).toContain('not counted: ');
  } finally {
    await other.close();
  }
});

test('a key and an identity, each for itself', async () => {
  setup = await setUpSigning();
  const made = makeSigner();
  await writeFile(join(setup.home, 'a.pub'), made.key.key.export({ type: 'spki', format: 'pem' }));
  const rules = `signatures: [{ name: both, count: 2, signers: [{ key: a.pub }, { ${WHO} }] }]
attestations: [{ name: t, type: 'https://example.com/t', signers: [{ ${WHO} }], conditions: [{ path: tests, min: 3 }] }]`;
  await sign(setup.kit, { location: setup.location, signer: identity, format: 'bundle' });
  await attest(setup.kit, {
    location: setup.location,
    signer: identity,
    type: 'https://example.com/t',
    predicate: { text: '{"tests": 4}', file: 'p.json' },
  });
  expect(Object.keys(await broken(rules))).toEqual(['signatures.both']);
  const signer: Signer = {
    name: 'a',
    sign: async (data) =>
      await Promise.resolve({
        signature: Buffer.from(made.sign(data), 'base64'),
        material: { publicKey: { hint: made.key.keyId } },
        verifierPem: '',
      }),
  };
  await sign(setup.kit, { location: setup.location, signer, format: 'bundle' });
  // with a trusted root, a log has to list what a key signed
  expect((await broken(rules))['signatures.both']).toContain('no transparency log lists it');
  expect(await broken(rules, `{ trustedRoot: ${mock.trustedRoot}, ignoreTlog: true }`)).toEqual({});
});
