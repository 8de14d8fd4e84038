import type { BlobSource, ByteRange, Bytes } from '../blobs/source.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryContext } from './context.ts';
import { fetchBlob, hasBlob } from './download.ts';
import { type Endpoint, endpointOf, repositoryPath } from './endpoint.ts';
import { RegistryHttp } from './http.ts';
import { listRepositories, listTags } from './listing.ts';
import { deleteManifest, deleteTag, type FetchedManifest, fetchManifest, hasManifest, putManifest, resolveManifest } from './manifests.ts';
import type { NetworkOptions } from './options.ts';
import { listReferrers } from './referrers.ts';
import { uploadUnhashed } from './stream-upload.ts';
import { uploadBlob } from './upload.ts';
import { mountBlob } from './upload-session.ts';

/** The registries that a run talks to: connections, tokens and TLS settings are shared. Close it at the end. */
export class RegistryClient {
  readonly #options: NetworkOptions;
  readonly #http: RegistryHttp;

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#http = new RegistryHttp(options);
  }

  /** @param registry `HOST[:PORT]` @param repository path without tag @throws KitError REFERENCE_INVALID */
  repository(registry: string, repository: string): RepositoryClient {
    return new RepositoryClient({
      http: this.#http,
      endpoint: this.#endpoint(registry),
      path: repositoryPath(registry, repository),
      name: `${registry}/${repository}`,
      chunkSize: this.#options.chunkSizes?.[registry],
    });
  }

  /**
   * GET /v2/: is there a registry, and does it take the credentials? (distribution spec, "Determining support")
   * @throws KitError UNAUTHORIZED | DENIED | REGISTRY_ERROR | NETWORK | TLS_FAILED
   */
  async ping(registry: string, call: CallOptions = {}): Promise<void> {
    const endpoint = this.#endpoint(registry);
    const response = await this.#http.request({
      endpoint,
      method: 'GET',
      url: new URL(`${endpoint.origin}/v2/`),
      subject: { kind: 'registry', name: registry },
      scopes: [],
      accept: [200],
      call,
    });
    await response.discard();
  }

  /** The repositories of a registry, where it tells. */
  catalog(registry: string, call: CallOptions = {}): AsyncIterable<string> {
    return listRepositories(this.#http, this.#endpoint(registry), call);
  }

  /** Breaks what is under way and closes all connections. */
  async close(): Promise<void> {
    await this.#http.close();
  }

  #endpoint(registry: string): Endpoint {
    return endpointOf(registry, this.#options.plainHttp);
  }
}

export function createRegistryClient(options: NetworkOptions = {}): RegistryClient {
  return new RegistryClient(options);
}

/** One repository. Each method is one operation of the OCI distribution spec 1.1, with its retries. */
export class RepositoryClient {
  readonly #context: RepositoryContext;

  constructor(context: RepositoryContext) {
    this.#context = context;
  }

  /** `ghcr.io/team/model` */
  get name(): string {
    return this.#context.name;
  }

  hasBlob(blob: Descriptor, call: CallOptions = {}): Promise<boolean> {
    return hasBlob(this.#context, blob, call);
  }

  /** Not verified. @throws KitError BLOB_NOT_FOUND */
  fetchBlob(blob: Descriptor, range?: ByteRange, call: CallOptions = {}): Promise<Bytes> {
    return fetchBlob(this.#context, blob, range, call);
  }

  uploadBlob(blob: Descriptor, source: BlobSource, call: CallOptions = {}): Promise<void> {
    return uploadBlob(this.#context, { blob, source, call });
  }

  /**
   * In one pass, with the digest computed on the way. Undefined when the registry does not take a blob in this way.
   * @throws KitError SIZE_MISMATCH | DIGEST_MISMATCH | DENIED | UNAUTHORIZED | REGISTRY_ERROR | NETWORK
   */
  uploadUnhashed(mediaType: string, source: BlobSource, call: CallOptions = {}): Promise<Descriptor | undefined> {
    return uploadUnhashed(this.#context, { mediaType, source, call });
  }

  /** @param from repository on the same registry, as users write it */
  mountBlob(blob: Descriptor, from: string, call: CallOptions = {}): Promise<boolean> {
    return mountBlob(this.#context, blob, repositoryPath(this.#context.endpoint.registry, from), call);
  }

  hasManifest(digest: Digest, call: CallOptions = {}): Promise<boolean> {
    return hasManifest(this.#context, digest, call);
  }

  /** Verified against the reference if that is a digest. */
  fetchManifest(reference: string, call: CallOptions = {}): Promise<FetchedManifest> {
    return fetchManifest(this.#context, reference, call);
  }

  resolveManifest(reference: string, call: CallOptions = {}): Promise<Descriptor> {
    return resolveManifest(this.#context, reference, call);
  }

  putManifest(reference: string, mediaType: string, bytes: Uint8Array, call: CallOptions = {}): Promise<void> {
    return putManifest(this.#context, reference, mediaType, bytes, call);
  }

  deleteManifest(digest: Digest, call: CallOptions = {}): Promise<void> {
    return deleteManifest(this.#context, digest, call);
  }

  deleteTag(tag: string, call: CallOptions = {}): Promise<void> {
    return deleteTag(this.#context, tag, call);
  }

  tags(call: CallOptions = {}): AsyncIterable<string> {
    return listTags(this.#context, call);
  }

  /** By the referrers API, or by the fallback tag where there is none. */
  referrers(subject: Digest, call: CallOptions = {}): AsyncIterable<Descriptor> {
    return listReferrers(this.#context, subject, call);
  }
}
