import { rawLayer } from '../blobs/layer.ts';
import type { ByteRange, Bytes } from '../blob-source.ts';
import type { CallOptions } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import type { CachedFile } from './hub-cache.ts';
import type { RemoteFile } from './remote-file.ts';
import { readWebFile, type WebFile } from './web-file.ts';

interface HubFileOptions {
  readonly path: string;
  readonly size: number;
  readonly digest: Digest | undefined;
  readonly blobId: string | undefined;
  readonly web: WebFile;
  readonly copy: CachedFile | undefined;
}

/** A file on the hub: read from the cache of huggingface_hub where that has it. */
export class HubFile implements RemoteFile {
  readonly path: string;
  readonly size: number;
  // git on the hub keeps no other
  readonly mode = 0o644;
  readonly digest: Digest | undefined;
  readonly blobId: string | undefined;
  readonly #web: WebFile;
  #copy: CachedFile | undefined;

  constructor({ path, size, digest, blobId, web, copy }: HubFileOptions) {
    this.path = path;
    this.size = size;
    this.digest = digest;
    this.blobId = blobId;
    this.#web = web;
    this.#copy = copy;
  }

  /** Where the cache has it. */
  get copy(): CachedFile | undefined {
    return this.#copy;
  }

  open(range: ByteRange, call: CallOptions): Bytes {
    const { path, size, mode } = this;
    if (this.#copy !== undefined) return rawLayer({ path, size, mode, type: 'file', ...this.#copy }).open(range, call.signal);
    return readWebFile(this.#web, range, call);
  }

  dropCopy(): boolean {
    const had = this.#copy !== undefined;
    this.#copy = undefined;
    return had;
  }
}
