import type { BlobSource, ByteRange, Bytes } from '../blob-source.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryContext } from './context.ts';
import { hasBlob } from './download.ts';
import { type Endpoint, endpointOf, repositoryPath } from './endpoint.ts';
import type { HostRules } from './host-rules.ts';
import { RegistryHttp } from './http.ts';
import { listRepositories, listTags } from './listing.ts';
import {
  deleteTag,
  type FetchedManifest,
  fetchManifest,
  hasManifest,
  type OutgoingManifest,
  putManifest,
  resolveManifest,
} from './manifests.ts';
import { type PullSource, pullSources } from './mirrors.ts';
import type { NetworkOptions } from './options.ts';
import { ReadSources } from './read-sources.ts';
import { listReferrers, type ReferrersQuery } from './referrers.ts';
import { ReferrersWriter } from './referrers-writer.ts';
import { settingsFor } from './settings.ts';
import { uploadUnhashed } from './stream-upload.ts';
import { uploadBlob } from './upload.ts';
import { mountBlob } from './upload-session.ts';

/** The registries that a run talks to: connections, tokens and TLS settings are shared. Close it at the end. */
export class RegistryClient {
  readonly #options: NetworkOptions;
  readonly #http: RegistryHttp;
  /** Origins of mirrors that gave no answer. */
  readonly #unreachable = new Set<string>();

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.#http = new RegistryHttp(options);
  }

  /** @param registry `HOST[:PORT]` @param repository path without tag @throws KitError REFERENCE_INVALID */
  repository(registry: string, repository: string): RepositoryClient {
    return new RepositoryClient(this.#context(this.#endpoint(registry), repository));
  }

  /**
   * The same to read from, also from its mirrors where such are configured.
   * @param reference the tag or digest that is wanted: a mirror may be for one kind only
   * @throws KitError REFERENCE_INVALID | DENIED | CONFIG_INVALID
   */
  source(registry: string, repository: string, reference: string): RepositoryClient {
    const sources = pullSources(this.#options.mirrors ?? [], registry, repository, reference);
    const contexts = sources.flatMap((source) => this.#readContexts(source));
    return new RepositoryClient(this.#context(this.#endpoint(registry), repository), new ReadSources(contexts, this.#unreachable));
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
    return endpointOf(registry, this.#options.plainHttp, settingsFor(this.#options.registries, registry));
  }

  #context(endpoint: Endpoint, repository: string, isMirror = false): RepositoryContext {
    const { registry } = endpoint;
    return {
      http: this.#http,
      endpoint,
      path: repositoryPath(registry, repository),
      name: `${registry}/${repository}`,
      isMirror,
      chunkSize: this.#options.chunkSizes?.[registry] ?? this.#chunkSize(endpoint),
    };
  }

  /** A host that only takes small chunks is better served with none: a large blob would be thousands of them. */
  #chunkSize({ registry, rules }: Endpoint): number | undefined {
    const configured = settingsFor(this.#options.registries, registry)?.chunkSize;
    if (typeof configured === 'number') return configured;
    return rules.chunks === undefined ? undefined : Number.POSITIVE_INFINITY;
  }

  #readContexts({ mirror, registry, repository, insecure }: PullSource): RepositoryContext[] {
    const settings = settingsFor(this.#options.registries, registry);
    // what the command line says of http is about the registry that it names
    const plainHttp = (mirror === undefined ? this.#options.plainHttp : undefined) ?? settings?.plainHttp;
    const given = endpointOf(registry, plainHttp, settings);
    const schemes = insecure && plainHttp === undefined ? [given, endpointOf(registry, given.isSecure, settings)] : [given];
    const { headers, credentials } = mirror ?? {};
    return schemes.map((endpoint) => this.#context({ ...endpoint, headers, credentials }, repository, mirror !== undefined));
  }
}

export function createRegistryClient(options: NetworkOptions = {}): RegistryClient {
  return new RegistryClient(options);
}

/** One repository. Each method is one operation of the OCI distribution spec 1.1, with its retries. */
export class RepositoryClient {
  readonly #context: RepositoryContext;
  readonly #sources: ReadSources;
  readonly #referrers: ReferrersWriter;

  /** @param sources where its content is read; the repository itself unless told */
  constructor(context: RepositoryContext, sources = new ReadSources([context], new Set())) {
    this.#context = context;
    this.#sources = sources;
    this.#referrers = new ReferrersWriter(context);
  }

  /** `ghcr.io/team/model` */
  get name(): string {
    return this.#context.name;
  }

  /** What is known of the registry. */
  get rules(): HostRules {
    return this.#context.endpoint.rules;
  }

  hasBlob(blob: Descriptor, call: CallOptions = {}): Promise<boolean> {
    return this.#sources.some(call, async (context) => await hasBlob(context, blob, call));
  }

  /** Not verified. @throws KitError BLOB_NOT_FOUND */
  fetchBlob(blob: Descriptor, range?: ByteRange, call: CallOptions = {}): Promise<Bytes> {
    return this.#sources.fetchBlob(blob, range, call);
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
    return this.#sources.some(call, async (context) => await hasManifest(context, digest, call));
  }

  /** Verified against the reference if that is a digest. */
  fetchManifest(reference: string, call: CallOptions = {}): Promise<FetchedManifest> {
    return this.#sources.first(call, async (context) => await fetchManifest(context, reference, call));
  }

  resolveManifest(reference: string, call: CallOptions = {}): Promise<Descriptor> {
    return this.#sources.first(call, async (context) => await resolveManifest(context, reference, call));
  }

  /** Keeps the list of what refers to its subject, where the registry does not. */
  async pushManifest(digest: Digest, manifest: OutgoingManifest, call: CallOptions = {}): Promise<void> {
    await this.#referrers.push(digest, manifest, call);
  }

  /** Of a manifest that was pushed. */
  async tagManifest(tag: string, manifest: OutgoingManifest, call: CallOptions = {}): Promise<void> {
    await putManifest(this.#context, tag, manifest, call);
  }

  /** With its tags, and its place in a list of referrers. @throws KitError UNSUPPORTED */
  async deleteManifest(digest: Digest, call: CallOptions = {}): Promise<void> {
    this.checkDeletion();
    await this.#referrers.remove(digest, call);
  }

  async deleteTag(tag: string, call: CallOptions = {}): Promise<void> {
    this.checkDeletion();
    await deleteTag(this.#context, tag, call);
  }

  /** @throws KitError UNSUPPORTED where the registry is known to delete nothing */
  checkDeletion(): void {
    const { rules, registry } = this.#context.endpoint;
    if (rules.deletion !== false) return;
    throw new KitError('UNSUPPORTED', `Removing models is unsupported by registry ${registry}: its API does not delete`, {
      ...(rules.deletionHint !== undefined && { hint: `${rules.service}: ${rules.deletionHint}` }),
    });
  }

  tags(call: CallOptions = {}): AsyncIterable<string> {
    return this.#sources.list(call, (context) => listTags(context, call));
  }

  /** By the referrers API, or by the fallback tag where there is none. */
  referrers(subject: Digest, call: ReferrersQuery & CallOptions = {}): AsyncIterable<Descriptor> {
    return this.#sources.list(call, (context) => listReferrers(context, subject, call));
  }
}
