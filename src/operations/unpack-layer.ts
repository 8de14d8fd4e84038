import { stat } from 'node:fs/promises';
import { decompress } from '../blobs/compress.ts';
import { extractTar } from '../blobs/extract.ts';
import { type FileStamp, identicalStamp, stampOf } from '../blobs/file-stamp.ts';
import { safePath } from '../blobs/safe-path.ts';
import type { Bytes } from '../blobs/source.ts';
import type { Staging } from '../blobs/staging.ts';
import { verified } from '../blobs/verified.ts';
import { releaseChunk } from '../chunk.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { ArtifactLayer } from '../formats/types.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type Digest, digestAlgorithm, Digester } from '../oci/digest.ts';
import type { Capabilities } from '../targets/types.ts';
import type { Source } from './open-location.ts';

export interface SelectedLayer {
  readonly source: Source;
  readonly layer: ArtifactLayer;
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
}

/** Brings one layer into the staging folder; digest, size and diffId have been checked when it returns. */
export async function unpackLayer(item: SelectedLayer, job: UnpackJob, call: CallOptions): Promise<void> {
  const { descriptor, diffId, compression, encoding, target, role, name } = item.layer;
  const { digest, size } = descriptor;
  if (compression === 'none' && diffId !== undefined && diffId !== digest) throw wrongDiffId(digest, diffId, digest);
  const path = encoding === 'raw' || target !== '' ? safePath(target, `layer ${digest}`) : '';
  call.onEvent?.({ type: 'blob', id: digest, action: 'unpack', label: `${role} ${name ?? item.layer.path}`, total: size });
  // a file that is kept need not be fetched
  if (encoding === 'raw' && !job.staging.wants(path, digest)) {
    call.onEvent?.({ type: 'done', id: digest, outcome: 'skipped' });
    return;
  }
  if (encoding !== 'raw' || compression !== 'none' || !(await fromLocalFile(item, path, job, call)))
    await fromStream(item, path, job, call);
  call.onEvent?.({ type: 'done', id: digest, outcome: 'copied' });
}

async function fromStream({ source, layer }: SelectedLayer, path: string, job: UnpackJob, call: CallOptions): Promise<void> {
  const { descriptor, diffId, compression, encoding, mode } = layer;
  const { digest } = descriptor;
  const blob = new CheckedBlob(await source.target.fetch(descriptor, call), descriptor, call);
  const plain = decompress(blob.bytes(), compression, digest);
  const content = limited(compression === 'none' ? plain : withDiffId(plain, diffId, digest), job, digest);
  if (encoding === 'raw') await job.staging.addFile(path, mode, content, digest);
  else await extractTar(content, job.staging, { layer: digest, base: path });
  blob.assertComplete();
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

/** Knows whether the whole blob went by: a reader that stops early must not pass for a verified one. */
class CheckedBlob {
  readonly #source: Bytes;
  readonly #descriptor: Descriptor;
  readonly #call: CallOptions;
  #complete = false;

  constructor(source: Bytes, descriptor: Descriptor, call: CallOptions) {
    this.#source = source;
    this.#descriptor = descriptor;
    this.#call = call;
  }

  async *bytes(): AsyncGenerator<Uint8Array> {
    const { signal, onEvent } = this.#call;
    for await (const chunk of verified(this.#source, this.#descriptor)) {
      signal?.throwIfAborted();
      onEvent?.({ type: 'bytes', id: this.#descriptor.digest, delta: chunk.byteLength });
      yield chunk;
    }
    this.#complete = true;
  }

  assertComplete(): void {
    if (!this.#complete) throw new KitError('LAYER_INVALID', `${this.#descriptor.digest}: the layer has data after its end`);
  }
}

async function* withDiffId(bytes: Bytes, diffId: Digest | undefined, layer: Digest): AsyncGenerator<Uint8Array> {
  if (diffId === undefined) {
    yield* bytes;
    return;
  }
  const digester = new Digester(digestAlgorithm(diffId));
  for await (const chunk of bytes) {
    digester.update(chunk);
    yield chunk;
  }
  const actual = digester.digest();
  if (actual !== diffId) throw wrongDiffId(layer, diffId, actual);
}

function wrongDiffId(layer: Digest, diffId: Digest, actual: Digest): KitError {
  return new KitError('DIGEST_MISMATCH', `${layer}: the config gives the diffId ${diffId}, but the uncompressed layer has ${actual}`, {
    hint: 'the artifact contradicts itself; ask for it to be packed again',
  });
}

async function* limited(bytes: Bytes, job: UnpackJob, layer: Digest): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    spend(job, chunk.byteLength, layer);
    yield chunk;
  }
}

function spend(job: UnpackJob, bytes: number, layer: Digest): void {
  job.bytesLeft -= bytes;
  if (job.bytesLeft >= 0) return;
  throw new KitError('LIMIT_EXCEEDED', `${layer}: the layer unpacks to more than the limit allows`, {
    hint: 'nothing was written; raise `--max-size` if you trust the artifact',
  });
}
