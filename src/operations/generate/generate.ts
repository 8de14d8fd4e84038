import type { CallOptions } from '../../events.ts';
import { printValue } from '../../kitfile/print.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Reference } from '../../oci/reference.ts';
import { type ArgocdOptions, argocdObjects, type FluxOptions, fluxObjects } from './gitops.ts';
import { type KserveOptions, kserveObjects } from './kserve.ts';
import { type KyvernoOptions, kyvernoObjects } from './kyverno.ts';
import type { Generated, KubernetesObject } from './object.ts';
import { type ImageVolumeOptions, imageVolumeObjects, type InitContainerOptions, initContainerObjects } from './pods.ts';
import { findSubject, type Fit, fitsAnything, fitsArgo, fitsFlux, fitsImage, fitsUnpack, fitsVolume, type Subject } from './subject.ts';
import type { Kit } from '../kit.ts';

/** What to make, with what it takes. */
export type GenerateTemplate =
  | ({ readonly kind: 'kserve' | 'kserve-modelcar'; readonly previous?: Reference } & KserveOptions)
  | ({ readonly kind: 'pod-image-volume' } & ImageVolumeOptions)
  | ({ readonly kind: 'init-container' } & InitContainerOptions)
  | ({ readonly kind: 'argocd' } & ArgocdOptions)
  | ({ readonly kind: 'flux' } & FluxOptions)
  | ({ readonly kind: 'kyverno'; readonly previous?: Reference } & KyvernoOptions);

export interface GenerateArguments {
  readonly reference: Reference;
  readonly template: GenerateTemplate;
  /** False: the registry is not asked; the references must have digests. */
  readonly resolve?: boolean;
}

export interface GenerateResult {
  readonly reference: string;
  /** What the objects are pinned to. */
  readonly digest: Digest;
  readonly objects: readonly KubernetesObject[];
  readonly notes: readonly string[];
  /** The objects as YAML documents, the notes before them as comments. */
  readonly yaml: string;
}

/**
 * Kubernetes objects for an artifact in a registry, pinned to the digest that its tag has by now.
 * @throws KitError USAGE | REFERENCE_NOT_FOUND | UNSUPPORTED, when the artifact is not what the objects need
 */
export async function generate(
  kit: Kit,
  { reference, template, resolve = true }: GenerateArguments,
  call: CallOptions = {},
): Promise<GenerateResult> {
  const options = { resolve, fit: FIT[template.kind] };
  const subject = await findSubject(kit, reference, options, call);
  const previous = 'previous' in template && template.previous ? await findSubject(kit, template.previous, options, call) : undefined;
  const { objects, notes } = objectsOf(subject, previous, template);
  const comments = notes.map((note) => `# ${note}\n`).join('');
  return { reference: subject.reference, digest: subject.digest, objects, notes, yaml: comments + objects.map(printValue).join('---\n') };
}

const FIT: Readonly<Record<GenerateTemplate['kind'], Fit>> = {
  kserve: fitsUnpack,
  'kserve-modelcar': fitsImage,
  'pod-image-volume': fitsVolume,
  'init-container': fitsUnpack,
  argocd: fitsArgo,
  flux: fitsFlux,
  kyverno: fitsAnything,
};

function objectsOf(subject: Subject, previous: Subject | undefined, template: GenerateTemplate): Generated {
  switch (template.kind) {
    case 'kserve':
    case 'kserve-modelcar':
      return kserveObjects(subject, previous, template);
    case 'pod-image-volume':
      return imageVolumeObjects(subject, template);
    case 'init-container':
      return initContainerObjects(subject, template);
    case 'argocd':
      return argocdObjects(subject, template);
    case 'flux':
      return fluxObjects(subject, template);
    case 'kyverno':
      return kyvernoObjects(subject, previous, template);
  }
}
