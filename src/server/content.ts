import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobDirectory } from '../targets/blob-directory.ts';
import type { ReferrersOptions } from '../targets/types.ts';

/** What is served: a store or an image layout. Its blobs are shared by all repositories. */
export interface ServedContent {
  /** How messages name it: `local storage`, `oci:dir`. */
  readonly name: string;
  readonly blobs: BlobDirectory;
  /** Names as they are kept: `team/model`, `localhost:5000/team/model`. */
  repositories(): Promise<string[]>;
  /** The repository that is kept under `name`. */
  repository(name: string): ServedRepository;
  /** Every manifest that any repository lists: what they reach is in use. */
  manifests(): Promise<readonly Descriptor[]>;
  /** Keeps what is added from being collected as garbage until it ends. */
  lease(): Promise<AsyncDisposable>;
}

/** One repository, as the distribution API sees it. Callers change one thing at a time. */
export interface ServedRepository {
  /** The manifest that a tag or digest names, also one below an index; undefined when there is none. */
  find(reference: string): Promise<Descriptor | undefined>;
  /** Undefined when there is no such repository. */
  tags(): Promise<readonly string[] | undefined>;
  /** Manifests whose subject it is. */
  referrers(subject: Digest, options: ReferrersOptions): AsyncIterable<Descriptor>;
  /** Stores a manifest whose content was checked, and puts tags on it. */
  put(manifest: Descriptor, bytes: Uint8Array, tags: readonly string[]): Promise<void>;
  /** False when there is no such tag. */
  untag(tag: string): Promise<boolean>;
  /** False when there is no such manifest. @throws DistributionError when an index still names it */
  remove(digest: Digest): Promise<boolean>;
}
