import type { CallOptions } from '../events.ts';
import type { Endpoint } from './endpoint.ts';
import type { Subject } from './failure.ts';
import type { RegistryHttp, RegistryRequest } from './http.ts';

/** One repository of one registry, as the parts of the client share it. */
export interface RepositoryContext {
  readonly http: RegistryHttp;
  readonly endpoint: Endpoint;
  /** As the registry knows it: with `library/` for Docker Hub's own. */
  readonly path: string;
  /** As users write it: `docker.io/model`. */
  readonly name: string;
  /** A mirror: where it does not answer, another place is asked at once. */
  readonly isMirror?: boolean | undefined;
  /** Uploads go in chunks of so many bytes; Infinity for one request a blob, undefined for what its size suggests. */
  readonly chunkSize: number | undefined;
}

/** `/v2/<path>/<tail>` */
export function repositoryUrl({ endpoint, path }: RepositoryContext, tail: string): URL {
  return new URL(`${endpoint.origin}/v2/${path}/${tail}`);
}

export type Action = 'pull' | 'push' | 'delete';

export function repositoryScope({ path }: RepositoryContext, ...actions: Action[]): string {
  return `repository:${path}:${actions.join(',')}`;
}

/** `reference` is a tag or digest. */
export function subjectOf({ name }: RepositoryContext, kind: Subject['kind'], reference: string): Subject {
  return { kind, name: `${name}${reference.includes(':') ? '@' : ':'}${reference}` };
}

/** The fields of a request that only reads. */
export function reading(
  context: RepositoryContext,
  call: CallOptions,
): Pick<RegistryRequest, 'endpoint' | 'scopes' | 'call' | 'isRetried'> {
  return { endpoint: context.endpoint, scopes: [repositoryScope(context, 'pull')], call, isRetried: context.isMirror !== true };
}

/** The fields of a request that changes the repository. */
export function writing(context: RepositoryContext, call: CallOptions): Pick<RegistryRequest, 'endpoint' | 'scopes' | 'call'> {
  return { endpoint: context.endpoint, scopes: [repositoryScope(context, 'pull', 'push')], call };
}
