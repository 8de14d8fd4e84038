import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makeBundle } from '../../../src/signing/bundle.ts';
import { claimedIdentity } from '../../../src/signing/claimed-identity.ts';
import { sealEnvelope } from '../../../src/signing/dsse.ts';
import { legacyProofs } from '../../../src/signing/legacy-material.ts';
import { openSigner } from '../../../src/signing/open-signer.ts';
import { fakeToken, startSigstoreMock } from '../../support/sigstore-mock.ts';

test('the certificate of a bundle, and of an older signature, says who', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'claimed-'));
  const mock = await startSigstoreMock(directory);
  onTestFinished(async () => {
    await mock.close();
    await rm(directory, { recursive: true, force: true });
  });
  const signer = await openSigner({ ...mock.services, env: { SIGSTORE_ID_TOKEN: fakeToken() } });
  const sealed = await sealEnvelope('{}', signer);
  const who = { identity: 'dev@example.com', issuer: 'https://issuer.example.com' };
  expect(claimedIdentity({ kind: 'bundle', text: makeBundle(sealed.envelope, sealed.material).toString() })).toEqual(who);
  const annotations = legacyProofs(sealed) ?? {};
  const text = JSON.stringify({ Cert: annotations['dev.sigstore.cosign/certificate'] });
  expect(claimedIdentity({ kind: 'legacy', text })).toEqual(who);
});

test('what has none, or is damaged, says nothing', () => {
  for (const text of [
    '',
    '{}',
    '{"Cert":null}',
    '{"Cert":"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----"}',
    '{"Cert":"AAAA"}',
  ])
    for (const kind of ['bundle', 'legacy'] as const) expect(claimedIdentity({ kind, text })).toBeUndefined();
});
