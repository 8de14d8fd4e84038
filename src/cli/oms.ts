import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asPathError } from '../blobs/path-error.ts';
import { KitError } from '../errors.ts';
import type { Digest } from '../oci/digest.ts';
import { parseLocation } from '../oci/reference.ts';
import { signDirectory, signModel } from '../operations/sign/oms-sign.ts';
import { describeModelRefusal, findModelSignature, verifyDirectory, verifyModel } from '../operations/sign/oms-verify.ts';
import type { Kit } from '../operations/kit.ts';
import { nameWithDigest } from '../operations/sign/verify.ts';
import { OMS_FILE } from '../signing/oms-statement.ts';
import type { Signatory, Verifier } from '../signing/verifier.ts';
import type { CliContext } from './context.ts';
import { printMessage } from './render/text.ts';
import type { FormatFlag } from './options/format.ts';
import { type CertificateFlags, networkFlags, openSigner, openVerifier, type SignerFlags, strayVerifyFlag } from './options/signing.ts';

interface SignFlags extends FormatFlag, SignerFlags, CertificateFlags {
  readonly annotations?: readonly string[];
  readonly recursive?: boolean;
  readonly signContainerIdentity?: string;
  readonly signatureFormat: string;
  readonly bundle?: string;
  readonly upload: boolean;
  readonly local?: boolean;
}

/** `kit sign --oms`: an artifact, or a directory. */
export async function signWithOms(reference: string, flags: SignFlags, context: CliContext): Promise<void> {
  const { annotations, recursive, signContainerIdentity, signatureFormat, bundle, upload, local, format } = flags;
  refuse('--annotations', annotations !== undefined);
  refuse('--recursive', recursive === true);
  refuse('--sign-container-identity', signContainerIdentity !== undefined);
  refuse('--signature-format legacy', signatureFormat === 'legacy');
  requireKeyOfCertificate(flags);
  const signer = await openSigner(flags, context.env, { ownHash: true });
  const kit = context.kit(networkFlags(flags));
  if (isDirectory(reference)) {
    const result = await signDirectory(kit, { directory: reference, signer, ...(bundle !== undefined && { file: bundle }) }, context.call);
    context.result(format, result, [`Signed ${files(result.fileCount)} of ${reference}: ${result.signature}`]);
    return;
  }
  if (!upload && bundle === undefined)
    throw new KitError('USAGE', '--no-upload needs --bundle', { hint: 'name the file that the signature goes to' });
  const args = { location: parseLocation(reference), signer, upload, local: local === true };
  const { bundle: content, ...result } = await signModel(kit, args, context.call);
  if (bundle !== undefined) await writeSignature(bundle, content, 'w');
  const place = result.referrer === undefined ? '' : `: model signature ${result.referrer}`;
  context.result(format, result, [`Signed ${files(result.fileCount)} of ${result.digest}${place}`]);
}

/** @throws KitError USAGE */
function requireKeyOfCertificate({ key, certificate, certificateChain }: SignFlags): void {
  if (certificate === undefined && certificateChain !== undefined)
    throw new KitError('USAGE', '--certificate-chain goes with --certificate');
  if (certificate !== undefined && key === undefined)
    throw new KitError('USAGE', '--certificate needs --key', { hint: 'give the private key that the certificate was issued for' });
}

function refuse(flag: string, isGiven: boolean): void {
  if (isGiven) throw new KitError('USAGE', `${flag} does not go with --oms: a model signature has no place for it`);
}

interface VerifyFlags extends FormatFlag, SignerFlags, CertificateFlags {
  readonly annotations?: readonly string[];
  readonly bundle?: string;
  readonly remote?: boolean;
  readonly ignoreUnsignedFiles?: boolean;
}

/** `kit verify --oms`: an artifact, or a directory. */
export async function verifyWithOms(reference: string, flags: VerifyFlags, context: CliContext): Promise<void> {
  const { annotations, bundle, remote, ignoreUnsignedFiles: ignoreUnsigned = false, format } = flags;
  refuse('--annotations', annotations !== undefined);
  const verifier = await openModelVerifier(flags, context.env);
  const kit = context.kit(networkFlags(flags));
  if (isDirectory(reference)) {
    const args = { directory: reference, verifier, ignoreUnsigned, ...(bundle !== undefined && { file: bundle }) };
    const result = await verifyDirectory(kit, args, context.call);
    context.result(format, result, [
      `verified ${files(result.fileCount)} of ${reference}: ${result.signature}, ${nameSigner(result.signer)}`,
    ]);
    return;
  }
  if (bundle !== undefined) {
    throw new KitError('USAGE', '--bundle goes with --oms for a directory only', {
      hint: 'model signatures of an artifact lie beside it',
    });
  }
  const lookup = remote === true ? 'remote' : 'local-first';
  const result = await verifyModel(kit, { location: parseLocation(reference), verifier, lookup, ignoreUnsigned }, context.call);
  const name = nameWithDigest(result.reference, result.digest);
  const lines = result.signatures.flatMap(({ signer, digest, fileCount = 0 }) =>
    signer === undefined ? [] : [`verified ${files(fileCount)} of ${name}: model signature ${digest}, ${nameSigner(signer)}`],
  );
  context.result(format, result, lines);
  if (format === 'json') return;
  for (const signature of result.signatures) if (!signature.accepted) printMessage(describeModelRefusal(signature));
}

/** @throws KitError USAGE */
async function openModelVerifier(flags: VerifyFlags, env: NodeJS.ProcessEnv): Promise<Verifier> {
  const { key, certificateChain } = flags;
  if (certificateChain === undefined) {
    if (key === undefined && strayVerifyFlag(flags) === undefined)
      throw new KitError('USAGE', 'verify --oms needs a key, an identity, or the certificates of an authority', {
        hint: 'add `--key FILE` with the public key, `--certificate-chain FILE` with the authority, or `--certificate-identity` and `--certificate-oidc-issuer`',
      });
    return await openVerifier(flags, env);
  }
  const other = key === undefined ? strayVerifyFlag(flags) : '--key';
  if (other !== undefined) throw new KitError('USAGE', `--certificate-chain and ${other} contradict each other`);
  const { openCertificateVerifier } = await import('../signing/certificate-verifier.ts');
  return await openCertificateVerifier(certificateChain);
}

function nameSigner(signer: Signatory): string {
  if (signer.type === 'key') return `key ${signer.name}`;
  const { identity, issuer, claims } = signer;
  // of an authority of one's own: nothing proves when it was used
  const until = claims['validTo'] === undefined ? '' : `, certificate valid until ${claims['validTo']}`;
  return `identity ${identity} (${issuer})${until}`;
}

function files(count: number): string {
  return count === 1 ? '1 file' : `${count} files`;
}

/** A folder is meant, not a name that looks like one. @throws KitError PATH_NOT_FOUND for a path, which is no reference, without a folder */
function isDirectory(text: string): boolean {
  if (statSync(text, { throwIfNoEntry: false })?.isDirectory() === true) return true;
  if (!/^(?:\.{0,2}\/|\.{1,2}$)/.test(text)) return false;
  throw new KitError('PATH_NOT_FOUND', `there is no directory ${text}`, {
    hint: 'give the directory with the files of the model, or the reference of an artifact',
  });
}

export interface UnpackedModel {
  readonly reference: string;
  readonly directory: string;
  readonly overwrite: boolean;
  readonly verifier: Verifier | undefined;
}

/**
 * For `kit unpack --oms`: finds the model signature before anything is unpacked; what it returns writes `model.sig` when all is there.
 * @throws KitError PATH_EXISTS where there is one
 */
export async function prepareModelSignature(
  kit: Kit,
  { reference, directory, overwrite, verifier }: UnpackedModel,
  context: CliContext,
): Promise<(digest: Digest) => Promise<string>> {
  const file = join(directory, OMS_FILE);
  if (!overwrite && statSync(file, { throwIfNoEntry: false }) !== undefined) {
    throw new KitError('PATH_EXISTS', `${file} already exists`, { hint: 'remove it, or add `--overwrite`' });
  }
  const found = await findModelSignature(kit, { location: parseLocation(reference), ...(verifier && { verifier }) }, context.call);
  return async (digest) => {
    if (digest !== found.digest)
      throw new KitError('SOURCE_CHANGED', `${reference} was ${found.digest} and is ${digest} now`, { hint: 'run the command again' });
    await writeSignature(file, found.bundle, overwrite ? 'w' : 'wx');
    return file;
  };
}

async function writeSignature(file: string, content: string | Uint8Array, flag: 'w' | 'wx'): Promise<void> {
  try {
    await writeFile(file, content, { flag });
  } catch (error) {
    throw asPathError(error, file);
  }
}
