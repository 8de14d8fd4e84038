import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { parseReference, type Reference } from '../../oci/reference.ts';
import { generate, type GenerateTemplate } from '../../operations/generate/generate.ts';
import type { ObjectOptions, PullOptions } from '../../operations/generate/object.ts';
import { type ModelScheme, MODEL_SCHEMES } from '../../operations/generate/kserve.ts';
import type { KyvernoOptions } from '../../operations/generate/kyverno.ts';
import type { Kit } from '../../operations/kit.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addLabelOption, chooseByLabel, type LabelFlag } from '../options/label.ts';
import { addGlobalOptions, oneOf } from '../options/global.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';

type Kind = GenerateTemplate['kind'];

/** Of all kinds: each declares those that it takes. */
interface Flags extends FormatFlag, KitFlags, LabelFlag, ObjectOptions, PullOptions {
  readonly resolve: boolean;
  readonly modelFormat?: string;
  readonly runtime?: string;
  readonly scheme: ModelScheme;
  readonly canaryPercent?: number;
  readonly previous?: string;
  readonly rollback?: boolean;
  readonly image?: string;
  readonly mountPath?: string;
  readonly subPath?: string;
  readonly initImage?: string;
  readonly filter?: string;
  readonly cosignKeySecret?: string;
  readonly certificateIdentity?: string;
  readonly certificateOidcIssuer?: string;
  readonly path?: string;
  readonly project?: string;
  readonly targetNamespace?: string;
  readonly automated?: boolean;
  readonly interval?: string;
  readonly verifySecret?: string;
  readonly publicKey?: string;
  readonly audit?: boolean;
}

interface KindEntry {
  readonly summary: string;
  readonly artifact: string;
  addOptions(command: Command): Command;
  toTemplate(flags: Flags): GenerateTemplate | Promise<GenerateTemplate>;
  readonly examples: string;
}

export function register(command: Command, context: OpenContext): void {
  const kinds = Object.keys(KINDS).join(' | ');
  command
    .argument('[kind]')
    .usage(kinds)
    // a name that is not known is told about first
    .allowExcessArguments()
    .allowUnknownOption()
    .addHelpText('after', '\n`kit generate KIND --help` shows the options of a kind, with examples.')
    .action((name: string | undefined) => {
      if (name === undefined) command.help();
      throw new KitError('USAGE', `unknown kind \`${name ?? ''}\``, { hint: `kinds are ${Object.keys(KINDS).join(', ')}` });
    });
  for (const [kind, entry] of Object.entries(KINDS)) registerKind(command, kind, entry, context);
}

function registerKind(generateCommand: Command, kind: string, entry: KindEntry, context: OpenContext): void {
  const command = addGlobalOptions(generateCommand.command(kind))
    .description(entry.summary)
    .argument('<reference>', `${entry.artifact}: REGISTRY/REPOSITORY[:TAG][@DIGEST]`)
    .option('--name <name>', "name of what is made (default: the last part of the repository's name)")
    .option('--no-resolve', 'do not ask the registry: references must have digests');
  addNetworkOptions(addFormatOption(entry.addOptions(command)))
    .addHelpText('after', `\nPrints YAML, pinned to the digest that the tag has now.\n\nExamples:\n${entry.examples}`)
    .action(async (reference: string, flags: Flags) => run(reference, flags, entry, await context()));
}

async function run(reference: string, flags: Flags, entry: KindEntry, context: CliContext): Promise<void> {
  const template = await entry.toTemplate(flags);
  const kit = context.kit(flags);
  const subject = await chosenSubject(kit, parseReference(reference), flags, context.call);
  const { objects, yaml } = await generate(kit, { reference: subject, template, resolve: flags.resolve }, context.call);
  // as a List the same objects can be applied from JSON
  context.result(flags.format, { apiVersion: 'v1', kind: 'List', items: objects }, [yaml.replace(/\n$/, '')]);
}

/** Of an index, what the labels choose in the registry. */
async function chosenSubject(kit: Kit, reference: Reference, flags: Flags, call: CallOptions): Promise<Reference> {
  if (flags.label !== undefined && !flags.resolve)
    throw new KitError('USAGE', '--label is looked up in the registry: leave --no-resolve out');
  const chosen = await chooseByLabel(kit, { type: 'reference', reference }, 'remote', flags, call);
  return chosen === undefined ? reference : { ...reference, tags: [], digest: chosen.descriptor.digest };
}

const addNamespace = (command: Command, usual = "the client's"): Command =>
  command.option('--namespace <namespace>', `where it goes (default: ${usual})`);

const addPull = (command: Command): Command =>
  command
    .option('--service-account <name>', 'service account that pulls')
    .option('--pull-secret <name>', 'secret of type kubernetes.io/dockerconfigjson');

const addSigner = (command: Command): Command =>
  command
    .option('--certificate-identity <identity>', 'only what this identity signed, without a key')
    .option('--certificate-oidc-issuer <url>', 'who vouches for the identity');

const addKserve = (command: Command): Command =>
  addPull(addLabelOption(addNamespace(command)))
    .option('--model-format <name>', "KServe's name for the format (default: what the artifact tells)")
    .option('--runtime <name>', 'serving runtime (default: one that supports the format)')
    .option('--canary-percent <percent>', 'how many requests in a hundred the new version gets', Number)
    .option('--previous <reference>', 'the version before: how to roll back to it is printed too')
    .option('--rollback', 'make what brings the version of --previous back');

const addPod = (command: Command): Command =>
  addPull(addLabelOption(addNamespace(command)))
    .option('--image <image>', 'of the container that uses the model (default: one that lists the files and ends)')
    .option('--mount-path <path>', 'where that finds the model', '/mnt/models');

const KINDS: Readonly<Record<Kind, KindEntry>> = {
  kserve: {
    summary: "InferenceService that unpacks a ModelKit with KitOps' storage container (kit://)",
    artifact: 'a ModelKit or ModelPack',
    addOptions: addKserve,
    toTemplate: (flags) => ({ kind: 'kserve', ...kserveOptions(flags, 'kit') }),
    examples: `  kit generate kserve ghcr.io/team/model:v1 --namespace models | kubectl apply -f -
  kit generate kserve ghcr.io/team/model:v2 --previous ghcr.io/team/model:v1 --canary-percent 10
  kit generate kserve ghcr.io/team/model:v2 --previous ghcr.io/team/model:v1 --rollback
  kit generate kserve ghcr.io/team/llama:8b --label quantization=q4_0`,
  },
  'kserve-modelcar': {
    summary: 'InferenceService on a Modelcar image (oci://)',
    artifact: 'a Modelcar',
    addOptions: (command) =>
      addKserve(command).option(
        '--scheme <scheme>',
        `how KServe mounts it: ${MODEL_SCHEMES.slice(1).join(', ')}`,
        (value: string) => oneOf('--scheme', value, MODEL_SCHEMES.slice(1)),
        'oci',
      ),
    toTemplate: (flags) => ({ kind: 'kserve-modelcar', ...kserveOptions(flags, flags.scheme) }),
    examples: `  kit generate kserve-modelcar ghcr.io/team/modelcar:v1 --model-format sklearn
  kit generate kserve-modelcar ghcr.io/team/modelcar:v1 --scheme oci+native --pull-secret ghcr`,
  },
  'pod-image-volume': {
    summary: 'Pod that mounts a model as an image volume',
    artifact: 'a Modelcar or other image; for CRI-O also a ModelPack of raw layers',
    addOptions: (command) =>
      addPod(command).option('--sub-path <path>', 'mount this directory of the image, such as models (Kubernetes 1.33)'),
    toTemplate: (flags) => ({
      kind: 'pod-image-volume',
      ...podOptions(flags),
      ...(flags.subPath !== undefined && { subPath: flags.subPath }),
    }),
    examples: `  kit generate pod-image-volume ghcr.io/team/modelcar:v1 --sub-path models
  kit generate pod-image-volume ghcr.io/team/modelcar:v1 --image ghcr.io/team/server:v3 --namespace models`,
  },
  'init-container': {
    summary: 'Pod whose init container unpacks a model',
    artifact: 'a ModelKit or ModelPack',
    addOptions: (command) =>
      addSigner(
        addPod(command)
          .option('--init-image <image>', "image with the contract of KitOps' init container", 'ghcr.io/kitops-ml/kitops-init:latest')
          .option('--filter <filter>', 'what to unpack, as in `kit unpack --filter`', 'model')
          .option('--cosign-key-secret <name>', 'secret with cosign.pub: only what is signed with its key is unpacked'),
      ),
    toTemplate: (flags) => {
      const { initImage, filter, cosignKeySecret } = flags;
      const signer = identityOf(flags);
      return {
        kind: 'init-container',
        ...podOptions(flags),
        ...(initImage !== undefined && { initImage }),
        ...(filter !== undefined && { filter }),
        ...(cosignKeySecret !== undefined && { cosignKeySecret }),
        ...(signer !== undefined && { signer }),
      };
    },
    examples: `  kit generate init-container ghcr.io/team/model:v1 --image ghcr.io/team/server:v3
  kit generate init-container ghcr.io/team/model:v1 --filter model,code --cosign-key-secret release-key`,
  },
  argocd: {
    summary: 'Application of Argo CD for manifests that `kit gitops push` pushed',
    artifact: 'a GitOps artifact',
    addOptions: (command) =>
      addNamespace(command, 'argocd')
        .option('--path <path>', 'directory in the artifact', '.')
        .option('--project <name>', 'project of Argo CD', 'default')
        .option('--target-namespace <namespace>', 'where the manifests are applied to', 'default')
        .option('--automated', 'apply without being asked, remove what is gone, undo changes'),
    toTemplate: (flags) => ({
      kind: 'argocd',
      ...objectOptions(flags),
      ...(flags.path !== undefined && { path: flags.path }),
      ...(flags.project !== undefined && { project: flags.project }),
      ...(flags.targetNamespace !== undefined && { targetNamespace: flags.targetNamespace }),
      ...(flags.automated !== undefined && { automated: flags.automated }),
    }),
    examples: '  kit generate argocd ghcr.io/team/deploy:v1 --target-namespace models --automated',
  },
  flux: {
    summary: 'OCIRepository and Kustomization of Flux for manifests that `kit gitops push` pushed',
    artifact: 'a GitOps artifact',
    addOptions: (command) =>
      addPull(addNamespace(command, 'flux-system'))
        .option('--path <path>', 'directory in the artifact', '.')
        .option('--interval <duration>', 'how often Flux looks', '10m')
        .option('--target-namespace <namespace>', 'where the manifests are applied to (default: where they say)')
        .option('--verify-secret <name>', 'secret with *.pub: only what is signed with one of its keys is taken'),
    toTemplate: (flags) => ({
      kind: 'flux',
      ...objectOptions(flags),
      ...pullOptions(flags),
      ...(flags.path !== undefined && { path: flags.path }),
      ...(flags.interval !== undefined && { interval: flags.interval }),
      ...(flags.targetNamespace !== undefined && { targetNamespace: flags.targetNamespace }),
      ...(flags.verifySecret !== undefined && { verifySecret: flags.verifySecret }),
    }),
    examples: '  kit generate flux ghcr.io/team/deploy:v1 --target-namespace models --verify-secret cosign-keys',
  },
  kyverno: {
    summary: 'ClusterPolicy of Kyverno: only signed artifacts of the repository, only this digest in InferenceServices',
    artifact: 'any artifact',
    addOptions: (command) =>
      addSigner(
        command
          .option('--public-key <file>', 'PEM file with the public key of the signer, such as cosign.pub')
          .option('--previous <reference>', 'the version before: its digest is approved too')
          .option('--audit', 'report what breaks the policy, and let it pass'),
      ),
    toTemplate: async (flags) => ({
      kind: 'kyverno',
      ...objectOptions(flags),
      ...previousOf(flags),
      signer: await policySigner(flags),
      ...(flags.audit !== undefined && { audit: flags.audit }),
    }),
    examples: `  kit generate kyverno ghcr.io/team/model:v2 --previous ghcr.io/team/model:v1 --public-key cosign.pub
  kit generate kyverno ghcr.io/team/model:v1 --certificate-identity ci@team.example --certificate-oidc-issuer https://issuer.example`,
  },
};

function objectOptions({ name, namespace }: Flags): ObjectOptions {
  return { ...(name !== undefined && { name }), ...(namespace !== undefined && { namespace }) };
}

function pullOptions({ serviceAccount, pullSecret }: Flags): PullOptions {
  return { ...(serviceAccount !== undefined && { serviceAccount }), ...(pullSecret !== undefined && { pullSecret }) };
}

function podOptions(flags: Flags): ObjectOptions & PullOptions & { readonly image?: string; readonly mountPath?: string } {
  const { image, mountPath } = flags;
  return {
    ...objectOptions(flags),
    ...pullOptions(flags),
    ...(image !== undefined && { image }),
    ...(mountPath !== undefined && { mountPath }),
  };
}

function kserveOptions(flags: Flags, scheme: ModelScheme) {
  const { modelFormat, runtime, canaryPercent, rollback } = flags;
  return {
    ...objectOptions(flags),
    ...pullOptions(flags),
    ...previousOf(flags),
    scheme,
    ...(modelFormat !== undefined && { modelFormat }),
    ...(runtime !== undefined && { runtime }),
    ...(canaryPercent !== undefined && { canaryPercent }),
    ...(rollback !== undefined && { rollback }),
  };
}

function previousOf({ previous }: Flags) {
  return previous === undefined ? {} : { previous: parseReference(previous) };
}

/** @throws KitError USAGE where half of it is given */
function identityOf({ certificateIdentity: identity, certificateOidcIssuer: issuer }: Flags) {
  if (identity === undefined && issuer === undefined) return undefined;
  if (identity !== undefined && issuer !== undefined) return { identity, issuer };
  throw new KitError('USAGE', '--certificate-identity and --certificate-oidc-issuer go together', {
    hint: 'an identity means nothing without who vouches for it',
  });
}

/** @throws KitError USAGE | PATH_NOT_FOUND */
async function policySigner(flags: Flags): Promise<KyvernoOptions['signer']> {
  const identity = identityOf(flags);
  const { publicKey } = flags;
  if ((identity === undefined) === (publicKey === undefined)) {
    throw new KitError('USAGE', identity === undefined ? 'the policy needs to know who signs' : 'give a key or an identity, not both', {
      hint: 'add `--public-key cosign.pub`, or `--certificate-identity` with `--certificate-oidc-issuer`',
    });
  }
  if (identity !== undefined) return identity;
  try {
    return { publicKey: await readFile(publicKey ?? '', 'utf8') };
  } catch (error) {
    throw asPathError(error, publicKey ?? '');
  }
}
