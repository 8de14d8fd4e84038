import { KitError } from '../../errors.ts';
import { parseFilter } from '../artifact/filter.ts';
import { checkImage, checkLine, checkMountPath, checkObjectName, checkRelativePath } from './names.ts';
import { type Generated, metadataOf, type ObjectOptions, type PullOptions, pullFields } from './object.ts';
import type { Subject } from './subject.ts';

export interface PodOptions extends ObjectOptions, PullOptions {
  /** Of the container that uses the model; default: one that lists it and ends. */
  readonly image?: string;
  /** Where that container finds the model. Default `/mnt/models`. */
  readonly mountPath?: string;
}

export interface ImageVolumeOptions extends PodOptions {
  /** Directory of the image to mount, such as `models` (Kubernetes 1.33 and later). */
  readonly subPath?: string;
}

export interface InitContainerOptions extends PodOptions {
  /** An image with the contract of KitOps' init container. */
  readonly initImage?: string;
  /** What to unpack. Default `model`. */
  readonly filter?: string;
  /** Secret with `cosign.pub`: only what is signed with its key is unpacked. */
  readonly cosignKeySecret?: string;
  /** Only what this identity signed is unpacked. */
  readonly signer?: { readonly identity: string; readonly issuer: string };
}

const LISTER = 'docker.io/library/busybox:1.37';
const INIT_IMAGE = 'ghcr.io/kitops-ml/kitops-init:latest';
const MOUNT_PATH = '/mnt/models';
const REGISTRY_AUTH = '/etc/kit/registry';
const COSIGN_KEYS = '/etc/kit/cosign';

/** A pod that mounts the model as an image volume (KEP-4639). @throws KitError USAGE */
export function imageVolumeObjects(subject: Subject, options: ImageVolumeOptions): Generated {
  const { subPath } = options;
  const mount = {
    ...modelMount(options),
    readOnly: true,
    ...(subPath !== undefined && { subPath: checkRelativePath('--sub-path', subPath) }),
  };
  const spec = {
    ...pullFields(options),
    restartPolicy: options.image === undefined ? 'Never' : 'Always',
    containers: [userContainer(options, [mount])],
    volumes: [{ name: 'model', image: { reference: subject.pinned, pullPolicy: 'IfNotPresent' } }],
  };
  const notes = ['needs Kubernetes 1.35, or 1.31 with the feature gate ImageVolume, and containerd 2.1 or CRI-O 1.31'];
  return { objects: [pod(subject, options, spec)], notes };
}

/** A pod whose init container unpacks the model into a volume. @throws KitError USAGE */
export function initContainerObjects(subject: Subject, options: InitContainerOptions): Generated {
  const { initImage = INIT_IMAGE, filter = 'model', cosignKeySecret, signer, pullSecret } = options;
  if (cosignKeySecret !== undefined && signer !== undefined) {
    throw new KitError('USAGE', 'a key and an identity cannot both be asked for', {
      hint: 'the init container checks the one or the other',
    });
  }
  const mount = modelMount(options);
  const mounts = [
    mount,
    ...(pullSecret === undefined ? [] : [{ name: 'registry-auth', mountPath: REGISTRY_AUTH, readOnly: true }]),
    ...(cosignKeySecret === undefined ? [] : [{ name: 'cosign-key', mountPath: COSIGN_KEYS, readOnly: true }]),
  ];
  const env = [
    { name: 'MODELKIT_REF', value: subject.pinned },
    { name: 'UNPACK_PATH', value: mount.mountPath },
    { name: 'UNPACK_FILTER', value: parseFilter(filter).text },
    { name: 'EXTRA_FLAGS', value: '--ignore-existing' },
    ...(pullSecret === undefined ? [] : [{ name: 'DOCKER_CONFIG', value: REGISTRY_AUTH }]),
    ...(cosignKeySecret === undefined ? [] : [{ name: 'COSIGN_KEY', value: `${COSIGN_KEYS}/cosign.pub` }]),
    ...(signer === undefined
      ? []
      : [
          { name: 'COSIGN_CERT_IDENTITY', value: checkLine('--certificate-identity', signer.identity) },
          { name: 'COSIGN_CERT_OIDC_ISSUER', value: checkLine('--certificate-oidc-issuer', signer.issuer) },
        ]),
  ];
  const spec = {
    ...pullFields(options),
    restartPolicy: options.image === undefined ? 'Never' : 'Always',
    initContainers: [{ name: 'unpack-model', image: checkImage('--init-image', initImage), env, volumeMounts: mounts }],
    containers: [userContainer(options, [{ ...mount, readOnly: true }])],
    volumes: [{ name: 'model', emptyDir: {} }, ...secretVolumes(pullSecret, cosignKeySecret)],
  };
  return { objects: [pod(subject, options, spec)], notes: [] };
}

function secretVolumes(pullSecret: string | undefined, cosignKeySecret: string | undefined): object[] {
  return [
    // kit reads $DOCKER_CONFIG/config.json
    ...(pullSecret === undefined ? [] : [secretVolume('registry-auth', pullSecret, '.dockerconfigjson', 'config.json')]),
    ...(cosignKeySecret === undefined
      ? []
      : [secretVolume('cosign-key', checkObjectName('--cosign-key-secret', cosignKeySecret), 'cosign.pub', 'cosign.pub')]),
  ];
}

function secretVolume(name: string, secretName: string, key: string, path: string): object {
  return { name, secret: { secretName, items: [{ key, path }] } };
}

function modelMount({ mountPath = MOUNT_PATH }: PodOptions): { readonly name: string; readonly mountPath: string } {
  return { name: 'model', mountPath: checkMountPath('--mount-path', mountPath) };
}

function userContainer({ image, mountPath = MOUNT_PATH }: PodOptions, volumeMounts: readonly object[]): object {
  if (image !== undefined) return { name: 'app', image: checkImage('--image', image), volumeMounts };
  return { name: 'app', image: LISTER, command: ['ls', '-lR', mountPath], volumeMounts };
}

function pod(subject: Subject, options: ObjectOptions, spec: Readonly<Record<string, unknown>>): Generated['objects'][number] {
  return { apiVersion: 'v1', kind: 'Pod', metadata: metadataOf(subject, options), spec };
}
