import { safePath } from '../../blobs/safe-path.ts';
import type { Bytes } from '../../blob-source.ts';
import { readVerified } from '../../blobs/verified.ts';
import { releaseChunk } from '../../chunk.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { ArtifactLayer } from '../../formats/types.ts';
import { type Digest, digestAlgorithm } from '../../oci/digest.ts';
import { StreamDigester } from '../../oci/stream-digester.ts';
import { runAll } from '../../targets/run-all.ts';
import { baseReference, resolveChain } from './base-modelkit.ts';
import type { Kit } from '../kit.ts';
import { openLayerBytes, type SourcedLayer } from './layer-bytes.ts';
import { checkFileCount, modelLayers, type WalkedEntry, walkLayer } from './layer-files.ts';
import type { LoadedArtifact } from './load-artifact.ts';
import type { Source } from './open-location.ts';

/** A file that an artifact unpacks to. */
export interface ArtifactFile {
  /** Where it is unpacked to: relative, checked. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** SHA-256 of the content. */
  readonly digest: Digest;
  readonly layer: ArtifactLayer;
  /** The content, where it was asked for. */
  readonly content: Buffer | undefined;
}

/** Content of files beyond this is not kept. */
const MAX_KEPT_BYTES = 1024 * 1024;

/** The layers that unpack writes: those of the artifact, and those of the base ModelKits that its model comes from. */
export async function unpackedLayers(kit: Kit, source: Source, artifact: LoadedArtifact, call: CallOptions): Promise<SourcedLayer[]> {
  const chain = await resolveChain(kit, baseReference(artifact), source.name, 'local-first', call);
  const based = chain.flatMap((base) => modelLayers(base.artifact).map((layer): SourcedLayer => ({ source: base.source, layer })));
  return [...artifact.layers.map((layer): SourcedLayer => ({ source, layer })), ...based];
}

/**
 * Every file of the layers with its SHA-256, in no order. A raw layer has the digest of its file: nothing is read. Other layers are read
 * to their end and checked on the way. `keep` asks for the content of small files.
 * @throws KitError UNSAFE_PATH | UNSAFE_ENTRY | LAYER_INVALID | DIGEST_MISMATCH | LIMIT_EXCEEDED
 */
export async function listFiles(
  layers: readonly SourcedLayer[],
  { concurrency, keep = () => false }: { readonly concurrency: number; readonly keep?: (path: string) => boolean },
  call: CallOptions,
): Promise<ArtifactFile[]> {
  const files = new Map<string, ArtifactFile>();
  const add = (file: ArtifactFile): void => {
    const other = files.get(file.path);
    if (other !== undefined) throw duplicate(file, other);
    files.set(file.path, file);
    checkFileCount(files.size, 'the artifact');
  };
  const read = layers.filter(({ layer }) => !isPlain(layer));
  call.onEvent?.({ type: 'plan', blobs: read.length, bytes: read.reduce((sum, { layer }) => sum + layer.descriptor.size, 0) });
  await runAll(layers, concurrency, call.signal, async (item, signal) => {
    const own = { ...call, signal };
    if (isPlain(item.layer)) add(await plainFile(item, keep, own));
    else await readLayer(item, { add, keep }, own);
  });
  return [...files.values()];
}

/** Where the digest of the layer is the SHA-256 of its file. */
function isPlain({ encoding, compression, descriptor }: ArtifactLayer): boolean {
  return encoding === 'raw' && compression === 'none' && digestAlgorithm(descriptor.digest) === 'sha256';
}

async function plainFile({ source, layer }: SourcedLayer, keep: (path: string) => boolean, call: CallOptions): Promise<ArtifactFile> {
  const { digest, size } = layer.descriptor;
  const path = filePath(layer);
  const wanted = keep(path) && size <= MAX_KEPT_BYTES;
  const content = wanted ? await readVerified(await source.target.fetch(layer.descriptor, call), layer.descriptor, size) : undefined;
  return { path, size, digest, layer, content };
}

function filePath({ target, descriptor }: ArtifactLayer): string {
  const path = safePath(target, `layer ${descriptor.digest}`);
  if (path === '') throw new KitError('UNSAFE_ENTRY', `layer ${descriptor.digest} names no file`);
  return path;
}

interface Intake {
  readonly add: (file: ArtifactFile) => void;
  readonly keep: (path: string) => boolean;
}

async function readLayer(item: SourcedLayer, { add, keep }: Intake, call: CallOptions): Promise<void> {
  const { layer } = item;
  const { digest: id, size: total } = layer.descriptor;
  call.onEvent?.({ type: 'blob', id, action: 'hash', label: `${layer.role} ${layer.name ?? layer.path}`, total });
  if (layer.encoding === 'raw') {
    const path = filePath(layer);
    const opened = await openLayerBytes(item, 'never', call);
    const file = await digestContent(opened.bytes, undefined, keep(path));
    opened.assertComplete();
    add({ ...file, path, layer });
  } else {
    const visit = async (entry: WalkedEntry): Promise<void> => {
      const { file } = entry;
      if (file.type === 'directory') return;
      if (file.type !== 'file') throw new KitError('UNSAFE_ENTRY', `${id}: ${JSON.stringify(file.path)} is a ${file.type}, not a file`);
      const path = safePath(file.path, id);
      add({ ...(await digestContent(entry.content(), file.size, keep(path))), path, layer });
    };
    await walkLayer(item, 'never', visit, call);
  }
  call.onEvent?.({ type: 'done', id, outcome: 'copied' });
}

async function digestContent(
  bytes: Bytes,
  expected: number | undefined,
  keep: boolean,
): Promise<Pick<ArtifactFile, 'size' | 'digest' | 'content'>> {
  const digester = new StreamDigester('sha256', expected);
  const kept: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of bytes) {
      size += chunk.byteLength;
      await digester.update(chunk);
      if (keep && size <= MAX_KEPT_BYTES) kept.push(Buffer.from(chunk));
      releaseChunk(chunk);
    }
    const digest = await digester.digest();
    return { size, digest, content: keep && size <= MAX_KEPT_BYTES ? Buffer.concat(kept) : undefined };
  } finally {
    digester.abandon();
  }
}

function duplicate({ path, layer }: ArtifactFile, other: ArtifactFile): KitError {
  return new KitError('UNSAFE_ENTRY', `${path} is in the layers ${other.layer.descriptor.digest} and ${layer.descriptor.digest}`, {
    hint: 'the artifact contradicts itself; ask for it to be packed again',
  });
}
