import { createPublicKey } from 'node:crypto';
import { KitError } from '../../errors.ts';
import { checkLine } from './names.ts';
import { type Generated, metadataOf, type ObjectOptions } from './object.ts';
import type { Subject } from './subject.ts';

export interface KyvernoOptions extends ObjectOptions {
  /** Who must have signed: a PEM public key, or an identity with the issuer that vouches for it. */
  readonly signer: { readonly publicKey: string } | { readonly identity: string; readonly issuer: string };
  /** True: violations are reported, not refused. */
  readonly audit?: boolean;
}

/** KServe's and KitOps' schemes, longest first. */
const SCHEMES = ['oci+modelcar://', 'oci+native://', 'oci+fetch://', 'oci://', 'kit://'];
const STORAGE_URI = '/spec/predictor/model/storageUri';

/**
 * A ClusterPolicy: whatever comes from the repository must be signed, in containers, image volumes and InferenceServices; an
 * InferenceService must also name one of the digests that are approved. @throws KitError USAGE
 */
export function kyvernoObjects(subject: Subject, previous: Subject | undefined, options: KyvernoOptions): Generated {
  const { repository } = subject;
  if (previous !== undefined && previous.repository !== repository) {
    throw new KitError('USAGE', `${previous.reference} is in another repository than ${subject.reference}`, {
      hint: 'a policy is about one repository: make one for each',
    });
  }
  const failureAction = options.audit === true ? 'Audit' : 'Enforce';
  const check = {
    // the signatures that every release of Kyverno reads: `kit sign` writes them with the default --signature-format
    type: 'Cosign',
    imageReferences: [`${repository}:*`, `${repository}@*`],
    failureAction,
    required: true,
    verifyDigest: true,
    attestors: [{ count: 1, entries: [attestor(options.signer)] }],
  };
  const pods = { any: [{ resources: { kinds: ['Pod'] } }] };
  const services = { any: [{ resources: { kinds: ['serving.kserve.io/v1beta1/InferenceService'] } }] };
  const jmesPath = SCHEMES.reduce((path, scheme) => `trim_prefix(${path}, '${scheme}')`, '@');
  const approved = [subject, ...(previous === undefined ? [] : [previous])].map(({ pinned }) => `*://${pinned}`);
  const spec = {
    background: false,
    webhookConfiguration: { timeoutSeconds: 30 },
    rules: [
      { name: 'signed-containers', match: pods, verifyImages: [{ ...check, mutateDigest: true }] },
      {
        name: 'signed-image-volumes',
        match: pods,
        imageExtractors: { Pod: [{ name: 'volumes', path: '/spec/volumes/*/image/reference' }] },
        verifyImages: [{ ...check, mutateDigest: false }],
      },
      {
        name: 'signed-storage-uri',
        match: services,
        imageExtractors: { InferenceService: [{ name: 'model', path: STORAGE_URI, jmesPath }] },
        verifyImages: [{ ...check, mutateDigest: false }],
      },
      {
        name: 'approved-storage-uri',
        match: services,
        validate: {
          failureAction,
          message: `a model of ${repository} is served by a digest that was approved`,
          // any other repository is none of this policy's business
          pattern: {
            spec: {
              predictor: {
                '=(model)': {
                  '=(storageUri)': [`!*://${repository} & !*://${repository}:* & !*://${repository}@*`, ...approved].join(' | '),
                },
              },
            },
          },
        },
      },
    ],
  };
  const metadata = metadataOf(subject, options);
  if (metadata.namespace !== undefined)
    throw new KitError('USAGE', 'a ClusterPolicy has no namespace', { hint: 'leave out `--namespace`' });
  return { objects: [{ apiVersion: 'kyverno.io/v1', kind: 'ClusterPolicy', metadata, spec }], notes: [] };
}

function attestor(signer: KyvernoOptions['signer']): object {
  if ('identity' in signer) {
    const { identity, issuer } = signer;
    return {
      keyless: { subject: checkLine('--certificate-identity', identity), issuer: checkLine('--certificate-oidc-issuer', issuer) },
    };
  }
  // signing with a key writes to no transparency log
  return { keys: { publicKeys: publicPem(signer.publicKey), rekor: { ignoreTlog: true }, ctlog: { ignoreSCT: true } } };
}

/** @throws KitError CONFIG_INVALID when it is no public key: a private one would be published */
function publicPem(text: string): string {
  try {
    if (!text.includes('PUBLIC KEY')) throw new TypeError('it is no PEM public key');
    return createPublicKey(text).export({ type: 'spki', format: 'pem' }).toString();
  } catch (cause) {
    throw new KitError('CONFIG_INVALID', 'the public key for the policy cannot be read', {
      cause,
      hint: 'name the PEM file that `kit generate-key-pair` writes as cosign.pub',
    });
  }
}
