import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createKit, type Kit, type Location, parseLocation, type Signer, type Verifier } from '../../../src/index.ts';
import type { Descriptor } from '../../../src/oci/descriptor.ts';
import type { RemoteRepository } from '../../../src/targets/remote.ts';
import type { RegistryOptions, TestRegistry } from '../../support/registry.ts';
import { connect } from '../../support/registry-client.ts';
import { makeSigner, pushManifest } from './sample-signatures.ts';

export interface SigningSetup {
  readonly kit: Kit;
  readonly home: string;
  readonly registry: TestRegistry;
  /** The repository `team/model`. */
  readonly target: RemoteRepository;
  /** `v1` there. */
  readonly subject: Descriptor;
  readonly location: Location;
  readonly signer: Signer;
  readonly verifier: Verifier;
}

/** A fresh key as the ports of signing and verifying. */
export function makeKey(): { readonly signer: Signer; readonly verifier: Verifier } {
  const made = makeSigner();
  const material = { publicKey: { hint: made.key.keyId } };
  return {
    verifier: made.verifier,
    signer: {
      name: 'test.key',
      sign: async (data) => await Promise.resolve({ signature: Buffer.from(made.sign(data), 'base64'), material, verifierPem: '' }),
    },
  };
}

/** A kit with a home of its own that waits for no registry, a registry with one manifest, and a key. */
export async function setUpSigning(options: RegistryOptions = {}): Promise<SigningSetup> {
  const home = await mkdtemp(join(tmpdir(), 'ocikit-sign-'));
  const kit = createKit({ home, env: { HOME: home }, network: { sleep: async () => await Promise.resolve() } });
  onTestFinished(async () => {
    await kit.close();
    await rm(home, { recursive: true });
  });
  const { registry, target } = await connect(options);
  const subject = await pushManifest(target, { annotations: { name: 'model' } });
  await target.tag(subject, 'v1');
  return { kit, home, registry, target, subject, location: parseLocation(`${registry.host}/team/model:v1`), ...makeKey() };
}
