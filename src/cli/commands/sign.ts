import type { Command } from 'commander';
import { writeFile } from 'node:fs/promises';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import type { SignatureFormat } from '../../operations/sign/attach-signed.ts';
import { sign, type Signed } from '../../operations/sign/sign.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { collect } from '../options/network.ts';
import {
  addSignatureFormatOption,
  addSignOptions,
  addSignerNetworkOptions,
  type CertificateFlags,
  networkFlags,
  openSigner,
  readAnnotations,
  requireNoCertificate,
  type SignFlags,
} from '../options/signing.ts';

interface Flags extends FormatFlag, SignFlags, CertificateFlags {
  readonly oms?: boolean;
  readonly annotations?: readonly string[];
  readonly signatureFormat: SignatureFormat;
  readonly bundle?: string;
  readonly upload: boolean;
  readonly recursive?: boolean;
  readonly local?: boolean;
  readonly signContainerIdentity?: string;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .argument('<reference>', '[registry/]repository[:tag][@digest], or oci:DIR[:tag]')
      .option('--key <file>', "private key: cosign's file, a PEM file, env://NAME, or hashivault://KEY and the like")
      .option('-a, --annotations <key=value>', 'sign this along with the digest (repeatable)', collect)
      .option('--oms', 'sign the files instead, as OpenSSF Model Signing does (model.sig); a directory may be given too')
      .option('--certificate <file>', 'with --oms and --key: certificate of the key, by an authority of your own (PEM)')
      .option('--certificate-chain <file>', 'with --certificate: the certificates above it (PEM)'),
  );
  addSignOptions(addSignatureFormatOption(command))
    .option('--bundle <file>', 'write the sigstore bundle to a file too, for verification offline')
    .option('--no-upload', 'put nothing beside the artifact; needs --bundle')
    .option('-r, --recursive', 'sign every manifest of an index too')
    .option('--local', 'sign the artifact in local storage, though its name has a registry')
    .option('--sign-container-identity <reference>', 'what the legacy format names as the repository (default: the one that is signed)');
  addSignerNetworkOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
What is signed is the digest of the manifest, never a tag. A name with a registry is looked up and signed there, a name without
one in local storage. Signing again adds a signature. The password of the key is taken from $KIT_KEY_PASSWORD or $COSIGN_PASSWORD,
else asked for. Without a key you sign as whom you are: by the identity of the CI job, or by logging in; with sigstore's public services
it is then in a log that everybody can read. The signatures are cosign's: \`cosign verify\` and \`kit verify\` both read them.

Examples:
  kit sign ghcr.io/team/mymodel:v1 --key cosign.key
  kit sign ghcr.io/team/mymodel:v1
  kit sign ghcr.io/team/mymodel:v1 --key hashivault://release
  kit sign ghcr.io/team/mymodel@sha256:... --key cosign.key -a stage=production
  kit sign oci:layout:v1 --key cosign.key --signature-format bundle
  kit sign ghcr.io/team/mymodel:v1 --key cosign.key --no-upload --bundle mymodel.sigstore.json
  kit sign --oms ghcr.io/team/mymodel:v1 --key cosign.key
  kit sign --oms ./mymodel --key signer.key --certificate signer.crt --certificate-chain ca.crt`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { bundle, upload, recursive, local, signContainerIdentity, signatureFormat, annotations } = flags;
  if (flags.oms === true) {
    const { signWithOms } = await import('../oms.ts');
    await signWithOms(reference, flags, context);
    return;
  }
  requireNoCertificate(flags);
  if (!upload && bundle === undefined)
    throw new KitError('USAGE', '--no-upload needs --bundle', { hint: 'name the file that the signature goes to' });
  if (bundle !== undefined && recursive === true)
    throw new KitError('USAGE', '--bundle takes one signature and --recursive makes many', { hint: 'sign the manifests one at a time' });
  const result = await sign(
    context.kit(networkFlags(flags)),
    {
      location: parseLocation(reference),
      annotations: readAnnotations(annotations),
      signer: await openSigner(flags, context.env, { signal: context.call.signal }),
      format: signatureFormat,
      upload,
      recursive: recursive === true,
      local: local === true,
      ...(signContainerIdentity !== undefined && { identity: signContainerIdentity }),
    },
    context.call,
  );
  if (bundle !== undefined) for (const one of result.signed) await writeBundle(bundle, one.bundle);
  const signed = result.signed.map(withoutBundle);
  context.result(
    flags.format,
    { ...result, signed },
    signed.map((one) => `Signed ${one.digest}${describePlaces(one)}`),
  );
}

/** `: sigstore bundle sha256:..., tag sha256-....sig` */
export function describePlaces({ referrer, tag }: Pick<Signed, 'referrer' | 'tag'>): string {
  const places = [...(referrer === undefined ? [] : [`sigstore bundle ${referrer}`]), ...(tag === undefined ? [] : [`tag ${tag}`])];
  return places.length === 0 ? '' : `: ${places.join(', ')}`;
}

/** The bundle is for a file, not for a listing. */
export function withoutBundle<T extends Signed>(signed: T): Omit<T, 'bundle'> {
  const { bundle: _, ...rest } = signed;
  return rest;
}

/** @throws KitError when the file cannot be written */
export async function writeBundle(path: string, bundle: string): Promise<void> {
  try {
    await writeFile(path, `${bundle}\n`);
  } catch (error) {
    throw asPathError(error, path);
  }
}
