import { join, resolve } from 'node:path';
import { isKitError, KitError } from '../../errors.ts';
import { signersOf } from '../../policy/parse-policy.ts';
import type { Policy, Signer } from '../../policy/schema.ts';
import { signerName } from '../../policy/signers.ts';
import { keyVerifier, openKeyVerifier } from '../../signing/key-verifier.ts';
import { certificateIn } from '../../signing/material.ts';
import type { Trust } from '../../signing/proofs.ts';
import { parsePublicKey } from '../../signing/public-key.ts';
import { notAccepted } from '../../signing/requirement.ts';
import { loadTrustedRoot, type TrustSource } from '../../signing/trusted-root.ts';
import type { Signatory, SignedContent, Verifier } from '../../signing/verifier.ts';
import { defaultHome, type Kit } from '../kit.ts';
import type { OpenPolicy } from './open.ts';

/** Whom to trust, where that is said on the command line: it comes before what the policy says. */
export type TrustOverride = Partial<Omit<TrustSource, 'cache'>>;

/**
 * Accepts signatures by any key of the policy, and by anybody at all who has a certificate: who that is goes into the document that the
 * policy judges. @throws KitError PATH_NOT_FOUND | CONFIG_INVALID | SERVICE_FAILED | NETWORK and so on
 */
export async function openPolicyVerifier(kit: Kit, { policy, directory }: OpenPolicy, override: TrustOverride): Promise<Verifier> {
  const signers = distinct(signersOf(policy).map(([, signer]) => signer));
  const keys = signers.filter(({ identity, identityRegexp }) => identity === undefined && identityRegexp === undefined);
  const source = trustSource(kit, policy.trust, directory, override);
  const hasTrust = source.file !== undefined || source.tufMirror !== undefined;
  const asksService = keys.some(({ key }) => key !== undefined && /^(?!env:)\w+:\/\//.test(key));
  const needsTrust = hasTrust || keys.length < signers.length;
  if (asksService || (needsTrust && source.file === undefined)) await useProxy(kit);
  const trust: Trust | undefined = needsTrust
    ? { root: await loadTrustedRoot(source), ignoreLog: policy.trust?.ignoreTlog === true, ignoreSct: policy.trust?.ignoreSct === true }
    : undefined;
  const verifiers: Verifier[] = [];
  for (const signer of keys) verifiers.push(await openKey(kit, signer, directory, hasTrust ? trust : undefined));
  const identities = trust === undefined || keys.length === signers.length ? undefined : await anyIdentity(trust);
  return {
    name: signers.map(signerName).join(', '),
    verify: async (content) => {
      if (certificateIn(content.material) === undefined || identities === undefined) return await verifyByKeys(verifiers, content);
      return await identities.verify(content);
    },
  };
}

function distinct(signers: readonly Signer[]): Signer[] {
  return [...new Map(signers.map((signer) => [signerName(signer), signer])).values()];
}

function trustSource(kit: Kit, trust: Policy['trust'], directory: string, override: TrustOverride): TrustSource {
  const path = (file: string | undefined): string | undefined => (file === undefined ? undefined : resolve(directory, file));
  const {
    file = path(trust?.trustedRoot),
    tufMirror = trust?.tufMirror,
    tufRoot = path(trust?.tufRoot),
    offline = trust?.offline,
  } = override;
  return { file, tufMirror, tufRoot, offline, cache: join(defaultHome(kit.env), 'tuf') };
}

/** The services of sigstore are reached by Node's own client: it is to take the same way as that of the registries. */
async function useProxy(kit: Kit): Promise<void> {
  const [{ setGlobalProxyFromEnv }, network] = await Promise.all([import('node:http'), kit.network()]);
  setGlobalProxyFromEnv(network.env);
}

async function openKey(kit: Kit, signer: Signer, directory: string, trust: Trust | undefined): Promise<Verifier> {
  const { key, publicKey = '' } = signer;
  const name = signerName(signer);
  if (key === undefined) return keyVerifier(parsePublicKey(publicKey, name), trust);
  const verifier = await openKeyVerifier(/^\w+:\/\//.test(key) ? key : resolve(directory, key), kit.env, trust).catch((cause: unknown) => {
    if (!isKitError(cause, 'PATH_NOT_FOUND')) throw cause;
    throw new KitError(cause.code, cause.message, { hint: `the policy names it, and its paths are relative to ${directory}`, cause });
  });
  return { name, verify: async (content) => ({ ...(await verifier.verify(content)), name }) };
}

async function anyIdentity(trust: Trust): Promise<Verifier> {
  const { identityVerifier } = await import('../../signing/identity-verifier.ts');
  return identityVerifier([{ identity: /.+/su, issuer: /.+/su }], trust);
}

/** By which key, under all names that it has in the policy. @throws KitError SIGNATURE_INVALID */
async function verifyByKeys(verifiers: readonly Verifier[], content: SignedContent): Promise<Signatory> {
  const found: Signatory[] = [];
  let refusal: unknown;
  for (const verifier of verifiers) {
    try {
      found.push(await verifier.verify(content));
    } catch (error) {
      if (!isKitError(error, 'SIGNATURE_INVALID')) throw error;
      refusal = error;
    }
  }
  const [first] = found;
  if (first?.type === 'key' && found.length > 1) return { ...first, names: found.flatMap((one) => (one.type === 'key' ? [one.name] : [])) };
  if (first !== undefined) return first;
  if (verifiers.length === 1) throw refusal;
  const names = verifiers.map(({ name }) => name);
  throw notAccepted(
    names.length === 0
      ? 'the policy names no key that could have made it'
      : `it was changed after signing, or is by none of the keys ${names.join(', ')}`,
    refusal,
  );
}
