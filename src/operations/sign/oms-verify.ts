import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { asPathError } from '../../blobs/path-error.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { type Digest, digestHex } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { MAX_BUNDLE_BYTES } from '../../signing/candidates.ts';
import { checkModels, findModels, type ModelReport } from '../../signing/check-models.ts';
import { openModel } from '../../signing/oms-bundle.ts';
import { type ModelFiles, OMS_FILE, requireModel } from '../../signing/oms-statement.ts';
import type { Signatory, Verifier } from '../../signing/verifier.ts';
import { listFiles, unpackedLayers } from '../artifact/artifact-files.ts';
import type { Kit } from '../kit.ts';
import { loadArtifact } from '../artifact/load-artifact.ts';
import { hashDirectory } from './oms-directory.ts';
import { pathInside } from './oms-sign.ts';
import { openSource } from '../artifact/open-location.ts';
import { hasAccepted, reportsOn } from './signature-reports.ts';
import { originOf, signaturesIn } from './signature-source.ts';
import { requireOneReference } from '../artifact/references.ts';
import { nameWithDigest } from './verify.ts';

export interface VerifyModelArguments {
  readonly location: Location;
  /** Who must have signed: see `openKeyVerifier`. */
  readonly verifier: Verifier;
  /** Default `local-first`: the tag is looked up in the store before the registry. */
  readonly lookup?: 'local-first' | 'remote';
  /** True: files that were not signed are no reason to refuse. */
  readonly ignoreUnsigned?: boolean;
}

export interface VerifyModelResult {
  readonly reference: string;
  readonly digest: Digest;
  /** Each model signature that lies beside the artifact; one at least is accepted. */
  readonly signatures: readonly Omit<ModelReport, 'bundle'>[];
}

/**
 * Proves that the files an artifact unpacks to are those that were signed. Raw layers are not read. Layers are read only when a
 * signature holds. @throws KitError SIGNATURE_INVALID when none is accepted
 */
export async function verifyModel(kit: Kit, args: VerifyModelArguments, call: CallOptions = {}): Promise<VerifyModelResult> {
  const { location, verifier, lookup = 'local-first', ignoreUnsigned = false } = args;
  requireOneReference(location, 'verify');
  const source = await openSource(kit, location, lookup, call);
  const artifact = await loadArtifact(source.target, source.reference, source.name, call);
  let files: Promise<ModelFiles> | undefined;
  const list = async (): Promise<ModelFiles> => {
    const listed = await listFiles(await unpackedLayers(kit, source, artifact, call), kit, call);
    return new Map(listed.map(({ path, digest }) => [path, digestHex(digest)]));
  };
  const requirement = { verifier, ignoreUnsigned, files: async () => await (files ??= list()) };
  const reports = await reportsOn(kit, source, (found) => checkModels(found, artifact.descriptor, requirement), call);
  const { digest } = artifact.descriptor;
  requireAccepted(reports, nameWithDigest(source.name, digest));
  return { reference: source.name, digest, signatures: reports.map(withoutBundle) };
}

function withoutBundle(report: ModelReport): Omit<ModelReport, 'bundle'> {
  const { bundle: _, ...rest } = report;
  return rest;
}

function requireAccepted(reports: readonly ModelReport[], name: string): void {
  if (hasAccepted(reports)) return;
  if (reports.length === 0) throw notSigned(name, 'SIGNATURE_INVALID');
  const lines = reports.map((report) => `\n  ${describeModelRefusal(report)}`);
  throw new KitError('SIGNATURE_INVALID', `${name}: no model signature is accepted${lines.join('')}`, {
    hint: 'do not use it unless you know why; check that the key or certificate is that of whoever signs it',
  });
}

export function describeModelRefusal({ digest, reason = 'it is not valid' }: Pick<ModelReport, 'digest' | 'reason'>): string {
  return `not accepted: model signature ${digest} because ${reason}`;
}

function notSigned(name: string, code: 'SIGNATURE_INVALID' | 'REFERENCE_NOT_FOUND'): KitError {
  return new KitError(code, `${name}: no model signatures found`, {
    hint: '`kit sign --oms` makes one; it must lie in the same repository',
  });
}

export interface VerifyDirectoryArguments {
  readonly directory: string;
  readonly verifier: Verifier;
  /** The signature. Default: `model.sig` in the directory. */
  readonly file?: string;
  /** True: files that were not signed are no reason to refuse. */
  readonly ignoreUnsigned?: boolean;
}

export interface VerifyDirectoryResult {
  readonly directory: string;
  readonly signature: string;
  readonly signer: Signatory;
  readonly fileCount: number;
}

/**
 * Proves that the files of a directory are those that were signed (OpenSSF Model Signing v1.0, section 8). Nothing is hashed before the
 * signature holds. @throws KitError SIGNATURE_INVALID naming the files that differ
 */
export async function verifyDirectory(
  kit: Kit,
  { directory, verifier, file = join(directory, OMS_FILE), ignoreUnsigned = false }: VerifyDirectoryArguments,
  call: CallOptions = {},
): Promise<VerifyDirectoryResult> {
  const bundle = await readSignature(file);
  try {
    const { files, ignored, allowSymlinks, signer } = await openModel(bundle, verifier);
    const own = pathInside(directory, file);
    const actual = await hashDirectory(directory, { ignored: [...ignored, ...own], allowSymlinks }, kit.concurrency, call);
    requireModel(files, actual, { ignoreUnsigned });
    return { directory, signature: file, signer, fileCount: files.size };
  } catch (error) {
    if (!isKitError(error, 'SIGNATURE_INVALID')) throw error;
    throw new KitError('SIGNATURE_INVALID', `${directory}: ${file} is not accepted because ${error.message}`, {
      hint: 'do not use the model unless you know why; check that the key or certificate is that of whoever signs it',
      cause: error,
    });
  }
}

async function readSignature(file: string): Promise<Buffer> {
  try {
    await using handle = await open(file, 'r');
    // a device or pipe has no size
    const bytes = await buffer(handle.createReadStream({ end: MAX_BUNDLE_BYTES, autoClose: false }));
    if (bytes.byteLength <= MAX_BUNDLE_BYTES) return bytes;
    throw new KitError('LIMIT_EXCEEDED', `${file} has more than ${MAX_BUNDLE_BYTES} bytes, the limit for a model signature`);
  } catch (error) {
    throw asPathError(error, file);
  }
}

export interface FoundModelSignature {
  /** Of the artifact that it lies beside. */
  readonly digest: Digest;
  /** The content of `model.sig`. */
  readonly bundle: Uint8Array;
}

/**
 * The model signature that lies beside an artifact, to be written where it is unpacked. With a verifier one that it accepts; the files
 * are left to whoever has them. Without, nothing is checked, and there must be only one.
 * @throws KitError REFERENCE_NOT_FOUND | SIGNATURE_INVALID
 */
export async function findModelSignature(
  kit: Kit,
  { location, verifier }: { readonly location: Location; readonly verifier?: Verifier },
  call: CallOptions = {},
): Promise<FoundModelSignature> {
  const source = await openSource(kit, location, 'local-first', call);
  const { descriptor } = await loadArtifact(source.target, source.reference, source.name, call);
  const name = nameWithDigest(source.name, descriptor.digest);
  if (verifier !== undefined) {
    const reports = await reportsOn(kit, source, (found) => checkModels(found, descriptor, { verifier, files: undefined }), call);
    requireAccepted(reports, name);
    for (const { bundle } of reports) if (bundle !== undefined) return { digest: descriptor.digest, bundle };
  }
  const found = await Array.fromAsync(findModels(signaturesIn(source.target, call), descriptor));
  const origin = found.length > 0 ? undefined : await originOf(kit, source);
  if (origin !== undefined) found.push(...(await Array.fromAsync(findModels(signaturesIn(origin, call), descriptor))));
  const [only, ...others] = found;
  if (only === undefined) throw notSigned(name, 'REFERENCE_NOT_FOUND');
  if (others.length === 0) return { digest: descriptor.digest, bundle: only.bytes };
  throw new KitError('UNSUPPORTED', `${name} has ${found.length} model signatures`, {
    hint: 'add `--verify --key FILE`: the one that is by this key is taken',
  });
}
