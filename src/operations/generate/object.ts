import { checkName, checkNamespace, checkObjectName, deriveName } from './names.ts';
import type { Subject } from './subject.ts';

/** A Kubernetes object, in the order in which it is printed. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly spec: Readonly<Record<string, unknown>>;
}

interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What is made of an artifact, and what should be known about it. */
export interface Generated {
  readonly objects: readonly KubernetesObject[];
  /** Lines for people: how to go on. No text of the artifact's. */
  readonly notes: readonly string[];
}

/** What every object takes. */
export interface ObjectOptions {
  /** Default: the last part of the repository's name. */
  readonly name?: string;
  /** Default: the one that the kind usually lives in, else whichever the client is set to. */
  readonly namespace?: string;
}

/** How an object may pull. */
export interface PullOptions {
  readonly serviceAccount?: string;
  readonly pullSecret?: string;
}

/** @throws KitError USAGE */
export function metadataOf(
  { repository, reference }: Pick<Subject, 'repository' | 'reference'>,
  { name, namespace }: ObjectOptions,
  annotations: Readonly<Record<string, string>> = {},
): Metadata {
  return {
    name: name === undefined ? deriveName(repository) : checkName(name),
    ...(namespace !== undefined && { namespace: checkNamespace('--namespace', namespace) }),
    annotations: { 'ocikit/reference': reference, ...annotations },
  };
}

/** The fields by which the spec of a pod says how it pulls. @throws KitError USAGE */
export function pullFields({ serviceAccount, pullSecret }: PullOptions): Readonly<Record<string, unknown>> {
  return {
    ...(serviceAccount !== undefined && { serviceAccountName: checkObjectName('--service-account', serviceAccount) }),
    ...(pullSecret !== undefined && { imagePullSecrets: [{ name: checkObjectName('--pull-secret', pullSecret) }] }),
  };
}
