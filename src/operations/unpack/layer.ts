import { stat } from 'node:fs/promises';
import { extractTar } from '../../blobs/extract.ts';
import { type FileStamp, identicalStamp, stampOf } from '../../blobs/file-stamp.ts';
import { safePath } from '../../blobs/safe-path.ts';
import type { Bytes } from '../../blob-source.ts';
import type { Staging } from '../../blobs/staging.ts';
import { releaseChunk } from '../../chunk.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { ArtifactLayer } from '../../formats/types.ts';
import type { Digest } from '../../oci/digest.ts';
import { tapped } from '../../tapped.ts';
import type { Capabilities } from '../../targets/types.ts';
import { CheckedBlob, openLayerBytes, type Parts, type SourcedLayer, wrongDiffId } from '../artifact/layer-bytes.ts';

export interface SelectedLayer extends SourcedLayer {
  /** Undefined: the whole layer. Else the files that are wanted, and what was found of them: their clean paths. */
  readonly part?: { readonly wants: (path: string) => boolean; readonly found: string[] };
}

/** What all layers of one run share. */
export interface UnpackJob {
  readonly staging: Staging;
  /** True: files become links to the blobs of local storage, where they can. */
  readonly link: boolean;
  /** Bytes that may still be written. */
  bytesLeft: number;
  /** One for each file that became a link: to be called when all names are final. */
  readonly linked: (() => Promise<void>)[];
  /** When a layer of which only a part is wanted may be read in parts. */
  readonly parts: (source: SourcedLayer['source']) => Parts;
  /** The digest that a file of a tar layer must have, by clean path, where something but the layer gives one. */
  readonly digestOf?: ((path: string) => Digest | undefined) | undefined;
  /** Called with the clean path of every file, wanted or not. */
  readonly seen: (path: string) => void;
  /** Paths of files that no digest covers. */
  readonly unverified: string[];
}

/** Brings one layer into the staging folder; digest, size and diffId have been checked when it returns, unless it was read in parts. */
export async function unpackLayer(item: SelectedLayer, job: UnpackJob, call: CallOptions): Promise<void> {
  const { descriptor, diffId, compression, encoding, target, role, name } = item.layer;
  const { digest, size } = descriptor;
  if (compression === 'none' && diffId !== undefined && diffId !== digest) throw wrongDiffId(digest, diffId, digest);
  const path = encoding === 'raw' || target !== '' ? safePath(target, `layer ${digest}`) : '';
  call.onEvent?.({
    type: 'blob',
    id: digest,
    action: 'unpack',
    label: `${role} ${name ?? item.layer.path}`,
    total: item.part ? undefined : size,
  });
  if (encoding === 'raw') job.seen(path);
  // a file that is kept need not be fetched
  if (encoding === 'raw' && !job.staging.wants(path, digest)) {
    call.onEvent?.({ type: 'done', id: digest, outcome: 'skipped' });
    return;
  }
  if (encoding !== 'raw' || compression !== 'none' || !(await fromLocalFile(item, path, job, call)))
    await fromStream(item, path, job, call);
  call.onEvent?.({ type: 'done', id: digest, outcome: 'copied' });
}

async function fromStream(item: SelectedLayer, path: string, job: UnpackJob, call: CallOptions): Promise<void> {
  const { encoding, mode, descriptor, inner } = item.layer;
  const { digest } = descriptor;
  const { digestOf, seen, staging } = job;
  const opened = await openLayerBytes(item, item.part === undefined ? 'never' : job.parts(item.source), call);
  if (encoding === 'raw') await staging.addFile(path, mode, limited(opened.bytes, job, digest), digest);
  else if (item.part === undefined)
    await extractTar(limited(opened.bytes, job, digest), staging, { layer: digest, base: path, inner, digestOf, seen });
  else {
    const { wants, found } = item.part;
    const select = (file: string, size: number): boolean => {
      if (!wants(file)) return false;
      spend(job, size, digest);
      found.push(file);
      return true;
    };
    // asked about what is written, and only that
    const known = (file: string): Digest | undefined => {
      const expected = digestOf?.(file);
      if (expected === undefined && !opened.isChecked) job.unverified.push(file);
      return expected;
    };
    await extractTar(opened.bytes, staging, { layer: digest, base: path, inner, select, seen, digestOf: known });
  }
  opened.assertComplete();
}

/** A raw layer whose blob is a file here: nothing is copied where the file system knows how. False when nothing was staged. */
async function fromLocalFile({ source, layer }: SelectedLayer, path: string, job: UnpackJob, call: CallOptions): Promise<boolean> {
  const { descriptor, mode } = layer;
  const { digest, size } = descriptor;
  const can: Capabilities = source.target.can;
  if (!(await isLinked(can, layer, path, job, call))) {
    const file = can.localPath?.(descriptor);
    const before = file === undefined ? undefined : await lookAt(file);
    if (file === undefined || !(await job.staging.addClone(path, mode, file, digest))) return false;
    // what was verified must be what was cloned; if not, the clone is read, which also finds what is wrong with it
    const verifiedFile = await can.localFile?.(descriptor, call);
    const after = verifiedFile === file ? await lookAt(file) : undefined;
    if (before === undefined || after === undefined || !identicalStamp(before, after)) {
      await drain(new CheckedBlob(job.staging.read(path), descriptor, { signal: call.signal }).bytes());
    }
  }
  spend(job, size, digest);
  call.onEvent?.({ type: 'bytes', id: digest, delta: size });
  return true;
}

// a link has the mode of the blob: a program would not run
async function isLinked(can: Capabilities, layer: ArtifactLayer, path: string, job: UnpackJob, call: CallOptions): Promise<boolean> {
  const { descriptor, mode } = layer;
  const { link } = can;
  if (!job.link || link === undefined || (mode & 0o111) !== 0) return false;
  return await job.staging.addPlaced(path, descriptor.digest, async (file) => {
    const linked = await link(descriptor, file, call);
    if (linked !== undefined) job.linked.push(linked);
    return linked !== undefined;
  });
}

async function lookAt(file: string): Promise<FileStamp | undefined> {
  return await stat(file, { bigint: true }).then(stampOf, () => undefined);
}

async function drain(bytes: Bytes): Promise<void> {
  for await (const chunk of bytes) releaseChunk(chunk);
}

/** Counts against what may be written. `layer` names it in messages. @throws KitError LIMIT_EXCEEDED */
export function limited(bytes: Bytes, job: UnpackJob, layer: string): Bytes {
  return tapped(bytes, { handing: (count) => spend(job, count, layer) });
}

function spend(job: UnpackJob, bytes: number, layer: string): void {
  job.bytesLeft -= bytes;
  if (job.bytesLeft >= 0) return;
  throw new KitError('LIMIT_EXCEEDED', `${layer}: the layer unpacks to more than the limit allows`, {
    hint: 'nothing was written; raise `--max-size` if you trust the artifact',
  });
}
