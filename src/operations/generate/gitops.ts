import { checkDuration, checkNamespace, checkObjectName, checkRelativePath } from './names.ts';
import { type Generated, metadataOf, type ObjectOptions, type PullOptions } from './object.ts';
import type { Subject } from './subject.ts';

export interface ArgocdOptions extends ObjectOptions {
  /** Directory in the artifact. Default: its root. */
  readonly path?: string;
  /** Default `default`. */
  readonly project?: string;
  /** Where the manifests are applied to. Default `default`. */
  readonly targetNamespace?: string;
  /** True: Argo CD applies without being asked, removes what is gone and undoes changes. */
  readonly automated?: boolean;
}

/** An Application of Argo CD 3.1 or later. @throws KitError USAGE */
export function argocdObjects(subject: Subject, options: ArgocdOptions): Generated {
  const { path = '.', project = 'default', targetNamespace = 'default', automated } = options;
  const object = {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Application',
    metadata: metadataOf(subject, { namespace: 'argocd', ...options }),
    spec: {
      project: checkObjectName('--project', project),
      source: { repoURL: `oci://${subject.repository}`, targetRevision: subject.digest, path: checkRelativePath('--path', path) },
      destination: { server: 'https://kubernetes.default.svc', namespace: checkNamespace('--target-namespace', targetNamespace) },
      syncPolicy: { ...(automated === true && { automated: { prune: true, selfHeal: true } }), syncOptions: ['CreateNamespace=true'] },
    },
  };
  return {
    objects: [object],
    notes: [
      `a private registry: argocd repo add oci://${subject.repository} --type oci --name ${object.metadata.name} --username USER --password PASSWORD`,
    ],
  };
}

export interface FluxOptions extends ObjectOptions, PullOptions {
  /** Directory in the artifact. Default: its root. */
  readonly path?: string;
  /** How often Flux looks. Default `10m`. */
  readonly interval?: string;
  /** Where the manifests are applied to; default: where they say. */
  readonly targetNamespace?: string;
  /** Secret with `*.pub`: Flux takes only what is signed with one of the keys. */
  readonly verifySecret?: string;
}

/** An OCIRepository and the Kustomization that applies it. @throws KitError USAGE */
export function fluxObjects(subject: Subject, options: FluxOptions): Generated {
  const { path = '.', interval = '10m', targetNamespace, verifySecret, serviceAccount, pullSecret } = options;
  const metadata = metadataOf(subject, { namespace: 'flux-system', ...options });
  checkDuration('--interval', interval);
  const repository = {
    apiVersion: 'source.toolkit.fluxcd.io/v1',
    kind: 'OCIRepository',
    metadata,
    spec: {
      interval,
      url: `oci://${subject.repository}`,
      ref: { digest: subject.digest },
      ...(pullSecret !== undefined && { secretRef: { name: checkObjectName('--pull-secret', pullSecret) } }),
      ...(serviceAccount !== undefined && { serviceAccountName: checkObjectName('--service-account', serviceAccount) }),
      ...(verifySecret !== undefined && {
        verify: { provider: 'cosign', secretRef: { name: checkObjectName('--verify-secret', verifySecret) } },
      }),
    },
  };
  const kustomization = {
    apiVersion: 'kustomize.toolkit.fluxcd.io/v1',
    kind: 'Kustomization',
    metadata,
    spec: {
      interval,
      path: checkRelativePath('--path', path),
      prune: true,
      sourceRef: { kind: 'OCIRepository', name: metadata.name },
      ...(targetNamespace !== undefined && { targetNamespace: checkNamespace('--target-namespace', targetNamespace) }),
    },
  };
  return { objects: [repository, kustomization], notes: [] };
}
