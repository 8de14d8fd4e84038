import { basename } from 'node:path';
import { decompress } from '../../blobs/compress.ts';
import { digestOfSource } from '../../blobs/digest-source.ts';
import { extractTar } from '../../blobs/extract.ts';
import { tarLayer } from '../../blobs/layer.ts';
import { bytesSource } from '../../blob-source.ts';
import { type Conflict, Staging } from '../../blobs/staging.ts';
import { verified } from '../../blobs/verified.ts';
import { openContext, type PackContext, type WalkEntry, walkLayer } from '../../blobs/walk.ts';
import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { assembleGitops, GITOPS_LAYER, gitopsLayer, type GitopsLayer, type GitopsOrigin, gitopsOrigin } from '../../formats/gitops.ts';
import { describe, type Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-types.ts';
import type { Location } from '../../oci/reference.ts';
import type { Target } from '../../targets/types.ts';
import { type Admit, admitted } from '../artifact/admission.ts';
import { SOURCE_IGNORE, SourceIgnore } from './ignore.ts';
import { gitOrigin } from './origin.ts';
import type { Kit } from '../kit.ts';
import { loadArtifact } from '../artifact/load-artifact.ts';
import { openDestination, openSource, type Source, withDefaultTag } from '../artifact/open-location.ts';
import { type LayerPlan, layerSource } from '../pack/plan-layers.ts';
import { admission } from '../policy/configured.ts';

export interface GitopsPushArguments {
  readonly directory: string;
  /** A repository in a registry, or an image layout. */
  readonly destination: Location;
  /** What git says of the directory is not looked up for a field that is given here. */
  readonly origin?: GitopsOrigin;
  /** False: git is not asked. */
  readonly git?: boolean;
  /** RFC 3339 time for the manifest; none unless given, so that the same input gives the same digest. */
  readonly created?: string;
}

export interface GitopsPushResult extends GitopsOrigin {
  readonly reference: string;
  readonly digest: Digest;
  readonly layer: { readonly digest: Digest; readonly size: number; readonly existed: boolean };
  readonly fileCount: number;
}

/** What the repo server of Argo CD extracts by default. */
const ARGO_MAX_BYTES = 1_000_000_000;

/**
 * Pushes a directory of manifests as an artifact that Argo CD and Flux take as a source. Names, contents and execute bits decide the
 * digest; owners, times and umask do not.
 * @throws KitError PATH_NOT_FOUND | PATH_UNSUPPORTED | REFERENCE_INVALID ...
 */
export async function gitopsPush(kit: Kit, args: GitopsPushArguments, call: CallOptions = {}): Promise<GitopsPushResult> {
  const context = openDirectory(args.directory);
  const rules = new SourceIgnore(context.root);
  const plan = planOf(context, rules, args.directory);
  if (plan.fileCount === 0) {
    throw new KitError('PATH_NOT_FOUND', `${args.directory} holds no file to push`, {
      hint: `name the directory of the manifests; ${SOURCE_IGNORE} and Flux's default rules may leave all of it out`,
    });
  }
  warnOf(plan, rules, call);
  const files = plan.inputs.entries.filter(({ type }) => type === 'file').map(({ path }) => path);
  const contents = { root: context.root, files, ignores: (path: string) => rules.ignores(path) };
  const isNamed = args.origin?.source !== undefined && args.origin.revision !== undefined;
  const found = args.git === false || isNamed ? {} : await gitOrigin(kit.env, contents, call);
  const origin = { ...found, ...args.origin };

  await using destination = await openDestination(kit, withDefaultTag(args.destination), 'remote');
  const { target } = destination;
  await using _lease = await target.can.lease?.(call);
  call.onEvent?.({ type: 'plan', blobs: 1, bytes: plan.content.size });
  const layer = await sendLayer(target, plan, call);
  const { digest, size } = layer.descriptor;
  const { config, manifest } = assembleGitops(layer.descriptor, { ...origin, created: args.created });
  if (!(await target.has(config.descriptor, call))) await target.push(config.descriptor, bytesSource(config.bytes), call);
  const descriptor = describe(MEDIA_TYPE.imageManifest, manifest);
  await target.push(descriptor, bytesSource(manifest), call);
  for (const tag of destination.tags) await target.tag(descriptor, tag, call);
  await destination.close();
  return {
    reference: destination.name,
    digest: descriptor.digest,
    layer: { digest, size, existed: layer.existed },
    fileCount: plan.fileCount,
    ...origin,
  };
}

function openDirectory(directory: string): PackContext {
  try {
    return openContext(directory);
  } catch (error) {
    if (!isKitError(error, 'PATH_NOT_FOUND')) throw error;
    throw new KitError(error.code, error.message, {
      cause: error,
      hint: 'name the directory of the manifests: `kit gitops push DIRECTORY REFERENCE`',
    });
  }
}

// hashed first: manifests are small, and most pushes of a pipeline change nothing
async function sendLayer(
  target: Target,
  plan: LayerPlan,
  call: CallOptions,
): Promise<{ readonly descriptor: Descriptor; readonly existed: boolean }> {
  const { digest, size } = await digestOfSource(layerSource(plan), call.signal);
  const descriptor = { mediaType: plan.mediaType, digest, size };
  call.onEvent?.({ type: 'blob', id: digest, action: 'push', label: 'manifests', total: size });
  const existed = await target.has(descriptor, call);
  if (!existed) await target.push(descriptor, { ...layerSource(plan), size }, call);
  call.onEvent?.({ type: 'done', id: digest, outcome: existed ? 'exists' : 'copied' });
  return { descriptor, existed };
}

function planOf(context: PackContext, rules: SourceIgnore, directory: string): LayerPlan {
  const lookedAt = Date.now();
  const entries = withoutEmpty(walk(context, rules)).map(withPlainMode);
  const path = basename(context.root) || directory;
  return {
    entry: { role: 'code', index: 0, name: undefined, path: undefined },
    path,
    mediaType: GITOPS_LAYER,
    annotations: {},
    compression: 'gzip',
    content: tarLayer(entries),
    inputs: { encoding: 'tar', compression: 'gzip', entries },
    lookedAt,
    fileCount: entries.filter(({ type }) => type === 'file').length,
  };
}

function walk(context: PackContext, rules: SourceIgnore): WalkEntry[] {
  try {
    return walkLayer(context, '.', (path) => (rules.ignoresEntry(path) ? 'prune' : 'keep'));
  } catch (error) {
    if (!isKitError(error, 'PATH_UNSUPPORTED')) throw error;
    // the walk speaks of the rules that models are packed by
    throw new KitError(error.code, error.message, { cause: error, hint: `remove or rename it, or name it in ${SOURCE_IGNORE}` });
  }
}

// git knows no empty directories: one that a checkout was left with must not change the digest
function withoutEmpty(entries: readonly WalkEntry[]): WalkEntry[] {
  const wanted = new Set<string>();
  for (const { type, path } of entries) {
    if (type === 'directory') continue;
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) wanted.add(path.slice(0, slash));
  }
  return entries.filter(({ type, path }) => type === 'file' || wanted.has(path));
}

// all that git knows of modes: a checkout has the umask of whoever made it
function withPlainMode(entry: WalkEntry): WalkEntry {
  return { ...entry, mode: entry.type === 'directory' || (entry.mode & 0o100) !== 0 ? 0o755 : 0o644 };
}

function warnOf(plan: LayerPlan, { leftOut }: SourceIgnore, call: CallOptions): void {
  if (leftOut.length > 0) {
    const some = `${leftOut.slice(0, 3).join(', ')}${leftOut.length > 3 ? ', ...' : ''}`;
    call.onEvent?.({
      type: 'warning',
      code: 'GITOPS_LEFT_OUT',
      message: `pictures and archives are left out, as Flux does (${leftOut.length}: ${some}); \`!NAME\` in ${SOURCE_IGNORE} keeps one, \`NAME\` says that it is meant`,
    });
  }
  if (plan.content.size > ARGO_MAX_BYTES) {
    call.onEvent?.({
      type: 'warning',
      code: 'GITOPS_SIZE',
      message: `the manifests have ${plan.content.size} bytes, and Argo CD extracts 1 GB by default`,
    });
  }
}

export interface GitopsPullArguments {
  readonly source: Location;
  /** Default: the working directory. */
  readonly directory?: string;
  /** What to do when a file is in the way. Default `fail`. */
  readonly conflict?: Conflict;
  /** Most bytes that the files may have in all, uncompressed. */
  readonly maxBytes?: number;
  /** Asked before anything is written. */
  readonly admit?: Admit;
}

export interface GitopsPullResult extends GitopsOrigin {
  readonly digest: Digest;
  readonly directory: string;
  readonly layer: Digest;
  readonly fileCount: number;
}

/**
 * Unpacks what `gitopsPush`, `flux push artifact` or `oras push` made, as Argo CD would: all verified first, or nothing is written.
 * @throws KitError UNSUPPORTED | LAYER_INVALID | UNSAFE_PATH | UNSAFE_ENTRY | PATH_EXISTS | DIGEST_MISMATCH ...
 */
export async function gitopsPull(kit: Kit, args: GitopsPullArguments, call: CallOptions = {}): Promise<GitopsPullResult> {
  const source = await openSource(kit, args.source, 'remote', call);
  const admit = await admission(kit, args.admit);
  const reference = admit === undefined ? source.reference : await admitted(source, admit, call);
  const { manifest, descriptor } = await loadArtifact(source.target, reference, source.name, call);
  const layer = gitopsLayer(manifest, source.name);
  const staging = new Staging(args.directory ?? '.', args.conflict ?? 'fail');
  try {
    call.onEvent?.({ type: 'plan', blobs: 1, bytes: layer.descriptor.size });
    await extract(source, layer, { staging, maxBytes: args.maxBytes ?? Number.POSITIVE_INFINITY }, call);
    staging.commit();
  } catch (error) {
    throw withLabelHint(error, layer, source.name);
  } finally {
    await staging.discard();
  }
  const { target: directory, fileCount } = staging;
  return { digest: descriptor.digest, directory, layer: layer.descriptor.digest, fileCount, ...gitopsOrigin(manifest.annotations) };
}

async function extract(
  { target }: Source,
  { descriptor, compression }: GitopsLayer,
  { staging, maxBytes }: { readonly staging: Staging; readonly maxBytes: number },
  call: CallOptions,
): Promise<void> {
  const { digest, size } = descriptor;
  const fetched = await target.fetch(descriptor, call);
  let isComplete = false;
  async function* checked(): AsyncGenerator<Uint8Array> {
    for await (const chunk of verified(fetched, descriptor)) {
      call.signal?.throwIfAborted();
      call.onEvent?.({ type: 'bytes', id: digest, delta: chunk.byteLength });
      yield chunk;
    }
    isComplete = true;
  }
  async function* limited(): AsyncGenerator<Uint8Array> {
    let left = maxBytes;
    for await (const chunk of decompress(checked(), compression, digest)) {
      left -= chunk.byteLength;
      if (left < 0) {
        throw new KitError('LIMIT_EXCEEDED', `${digest}: the manifests unpack to more than the limit of ${maxBytes} bytes`, {
          hint: 'nothing was written; raise `--max-size` if you trust the artifact',
        });
      }
      yield chunk;
    }
  }
  call.onEvent?.({ type: 'blob', id: digest, action: 'unpack', label: 'manifests', total: size });
  await extractTar(limited(), staging, { layer: digest });
  // what was not read to its end was not verified
  if (!isComplete) throw new KitError('LAYER_INVALID', `${digest}: the layer has data after its end`);
  call.onEvent?.({ type: 'done', id: digest, outcome: 'copied' });
}

// what `oras push REF manifests.tar.gz` makes: neither Argo CD nor Flux can read it
function withLabelHint(error: unknown, { compression }: GitopsLayer, name: string): unknown {
  if (!isKitError(error, 'LAYER_INVALID') || compression !== 'none') return error;
  return new KitError(error.code, `${name}: ${error.message}`, {
    cause: error,
    hint: `if it is compressed, it was pushed under a wrong type: \`oras push\` wants FILE:${GITOPS_LAYER}`,
  });
}
