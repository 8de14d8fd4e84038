import { writeFile } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { type Digest, digestHex } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import { sealModel } from '../../signing/oms-bundle.ts';
import { isIgnored, type ModelFiles, OMS_FILE, OMS_PREDICATE_TYPE, withAlwaysIgnored } from '../../signing/oms-statement.ts';
import type { Signer } from '../../signing/signer.ts';
import { listFiles, unpackedLayers } from '../artifact/artifact-files.ts';
import { attachSigned } from './attach-signed.ts';
import type { Kit } from '../kit.ts';
import { loadArtifact } from '../artifact/load-artifact.ts';
import { hashDirectory } from './oms-directory.ts';
import { openSubject, type Subject } from '../artifact/open-subject.ts';

/** The Kitfile that is written beside unpacked files: its text is not part of an artifact, so no digest of it can be known. */
const KITFILE = 'Kitfile';
const SHOWN = 10;

export interface SignModelArguments {
  readonly location: Location;
  /** See `openKeySigner`, with `ownHash`: readers of model signatures expect the hash of the curve. */
  readonly signer: Signer;
  /** True: a name with a registry is looked up and signed in the store. */
  readonly local?: boolean;
  /** False: nothing is written, the bundle is only returned. Default true. */
  readonly upload?: boolean;
}

export interface SignModelResult {
  readonly reference: string;
  readonly digest: Digest;
  /** Of the manifest that refers to it and holds the bundle. */
  readonly referrer?: Digest;
  readonly fileCount: number;
  /** Files that no model signature covers: those of git at the top, a `model.sig` or Kitfile in the artifact. */
  readonly leftOut: readonly string[];
  /** The content of `model.sig`: a sigstore bundle, as JSON. */
  readonly bundle: string;
}

/**
 * Signs the files that an artifact unpacks to, as OpenSSF Model Signing v1.0 does, and puts the signature beside it. Raw layers are
 * not read: their digests are those of the files. @throws KitError UNSUPPORTED for an artifact without files, and what `sign` throws
 */
export async function signModel(kit: Kit, args: SignModelArguments, call: CallOptions = {}): Promise<SignModelResult> {
  const subject = await openSubject(kit, args.location, { local: args.local ?? false, verb: 'sign' }, call);
  const { target, name } = subject;
  const source = { target, reference: subject.descriptor.digest, name, isLocal: false };
  const artifact = await loadArtifact(target, source.reference, name, call);
  const listed = await listFiles(await unpackedLayers(kit, source, artifact, call), kit, call);
  const ignored = withAlwaysIgnored([OMS_FILE, ...(artifact.kitfile === undefined ? [] : [KITFILE])]);
  const covered = listed.filter(({ path }) => !isIgnored(path, ignored));
  const files = new Map(covered.map(({ path, digest }) => [path, digestHex(digest)]));
  requireFiles(files, name);
  const leftOut = listed.flatMap(({ path }) => (isIgnored(path, ignored) ? [path] : []));
  if (leftOut.length > 0) {
    const more = leftOut.length > SHOWN ? ` and ${leftOut.length - SHOWN} more` : '';
    const message = `not covered by the model signature: ${leftOut.slice(0, SHOWN).join(', ')}${more}`;
    call.onEvent?.({ type: 'warning', code: 'NOT_SIGNED', message });
  }
  const bundle = await sealModel({ name: modelName(subject, args.location), files, ignored }, args.signer);
  const { digest } = artifact.descriptor;
  const result = { reference: name, digest, fileCount: files.size, leftOut, bundle: bundle.toString() };
  if (args.upload === false) return result;
  const contents = {
    bundle,
    predicateType: OMS_PREDICATE_TYPE,
    created: new Date().toISOString(),
    suffix: 'att',
    legacy: undefined,
  } as const;
  const { referrer } = await attachSigned({ target, descriptor: artifact.descriptor }, contents, 'bundle', call);
  return { ...result, ...(referrer !== undefined && { referrer }) };
}

/** For people alone: readers do not look at it. */
function modelName({ repository }: Subject, location: Location): string {
  return basename(location.type === 'reference' ? repository : resolve(location.path)) || 'model';
}

export interface SignDirectoryArguments {
  readonly directory: string;
  readonly signer: Signer;
  /** Where the signature goes. Default: `model.sig` in the directory. */
  readonly file?: string;
}

export interface SignDirectoryResult {
  readonly directory: string;
  readonly signature: string;
  readonly fileCount: number;
}

/** Signs the files of a directory as OpenSSF Model Signing v1.0 does. An older signature in the same place is replaced. */
export async function signDirectory(
  kit: Kit,
  { directory, signer, file = join(directory, OMS_FILE) }: SignDirectoryArguments,
  call: CallOptions = {},
): Promise<SignDirectoryResult> {
  const ignored = withAlwaysIgnored([OMS_FILE, ...pathInside(directory, file)]);
  const files = await hashDirectory(directory, { ignored, allowSymlinks: false }, kit.concurrency, call);
  requireFiles(files, directory);
  const bundle = await sealModel({ name: basename(resolve(directory)) || 'model', files, ignored }, signer);
  try {
    await writeFile(file, bundle);
  } catch (error) {
    throw asPathError(error, file);
  }
  return { directory, signature: file, fileCount: files.size };
}

/** The path of `file` as model signatures name it; none where it is not in the directory. */
export function pathInside(directory: string, file: string): string[] {
  const path = relative(resolve(directory), resolve(file)).replaceAll('\\', '/');
  return path === '' || path === '..' || path.startsWith('../') ? [] : [path];
}

function requireFiles(files: ModelFiles, name: string): void {
  if (files.size > 0) return;
  throw new KitError('UNSUPPORTED', `${name} holds no files that a model signature could cover`);
}
