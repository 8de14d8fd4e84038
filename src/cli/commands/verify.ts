import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import {
  describeRefusal,
  describeSignatory,
  describeSignature,
  findSignatures,
  nameWithDigest,
  requireVerified,
  type VerifyResult,
} from '../../operations/sign/verify.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { collect } from '../options/network.ts';
import { addPolicyOption, type PolicyFlags, trustOf, withoutTrust } from '../options/policy.ts';
import {
  addSignerNetworkOptions,
  addVerifyOptions,
  type CertificateFlags,
  describeLogs,
  networkFlags,
  openVerifier,
  readAnnotations,
  requireNoCertificate,
  strayVerifyFlag,
  type VerifyFlags,
} from '../options/signing.ts';
import { printMessage } from '../render/text.ts';

interface Flags extends FormatFlag, VerifyFlags, CertificateFlags, PolicyFlags {
  readonly oms?: boolean;
  readonly ignoreUnsignedFiles?: boolean;
  readonly annotations?: readonly string[];
  readonly remote?: boolean;
  readonly bundle?: string;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .argument('<reference>', '[registry/]repository[:tag][@digest], or oci:DIR[:tag]')
      .option('--key <file>', 'public key of whoever must have signed it: a PEM file, env://NAME, or hashivault://KEY and the like')
      .option('-a, --annotations <key=value>', 'accept only signatures with this annotation (repeatable)', collect)
      .option('--bundle <file>', 'check the signature in this file, not those beside the artifact')
      .option('-r, --remote', 'look in the registry, not in local storage')
      .option('--oms', 'check the files against an OpenSSF model signature (model.sig); a directory may be given too')
      .option('--certificate-chain <file>', 'with --oms: authorities (PEM); accept whomever they have certified')
      .option('--ignore-unsigned-files', 'with --oms: accept files that were not signed'),
  );
  addPolicyOption(command, 'all that this policy asks for must hold');
  addSignerNetworkOptions(addVerifyOptions(command))
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
Accepted are signatures of kit and cosign (sigstore bundles and the older sha256-*.sig tags) over the digest of the manifest.
An attestation is never taken for a signature. Transparency logs are not consulted when only a key is given.
Without a key, an identity and its issuer are needed. Exit status 6: no signature is accepted.

Examples:
  kit verify ghcr.io/team/mymodel:v1 --key cosign.pub
  kit verify ghcr.io/team/mymodel:v1 --certificate-identity dev@example.com --certificate-oidc-issuer https://accounts.google.com
  kit verify --remote ghcr.io/team/mymodel:v1 --key cosign.pub -a stage=production
  kit verify oci:layout:v1 --key cosign.pub --format json
  kit verify ghcr.io/team/mymodel:v1 --key cosign.pub --bundle mymodel.sigstore.json
  kit verify ghcr.io/team/mymodel:v1 --policy production.yaml
  kit verify --oms ./unpacked --key cosign.pub
  kit verify --oms ./unpacked --certificate-chain ca.crt`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { annotations, remote, bundle, format } = flags;
  if (flags.oms === true) {
    const { verifyWithOms } = await import('../oms.ts');
    await verifyWithOms(reference, flags, context);
    return;
  }
  requireNoCertificate(flags);
  if (flags.ignoreUnsignedFiles === true) throw new KitError('USAGE', '--ignore-unsigned-files goes with --oms');
  if (flags.policy !== undefined) {
    await verifyByPolicies(reference, flags, context);
    return;
  }
  const verifier = await openVerifier(flags, context.env);
  const result = await findSignatures(
    context.kit(networkFlags(flags)),
    {
      location: parseLocation(reference),
      verifier,
      annotations: readAnnotations(annotations),
      lookup: remote === true ? 'remote' : 'local-first',
      ...(bundle !== undefined && { bundle }),
    },
    context.call,
  );
  context.result(format, { ...result, transparencyLog: describeLogs(flags) }, acceptedLines(result));
  requireVerified(result);
  if (format === 'json') return;
  for (const signature of result.signatures) if (!signature.accepted) printMessage(describeRefusal(signature));
  if (describeLogs(flags) === 'not consulted') printMessage('transparency logs were not consulted: only a key was given');
}

/** @throws KitError POLICY_VIOLATED, and USAGE where an option says who must have signed, which the policy says */
async function verifyByPolicies(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { policy = [], key, bundle, annotations, remote, format } = flags;
  const given = { '--key': key, '--bundle': bundle, '--annotations': annotations };
  const named = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
  const stray = named ?? strayVerifyFlag(withoutTrust(flags));
  if (stray !== undefined)
    throw new KitError('USAGE', `${stray} does not go with --policy`, { hint: 'the policy says who must have signed: docs/policy.md' });
  const [{ checkPolicy, requirePolicies, tellWarnings }, { reportLines }] = await Promise.all([
    import('../../operations/policy/policy.ts'),
    import('../render/policy-text.ts'),
  ]);
  const lookup = remote === true ? 'remote' : 'local-first';
  const kit = context.kit(networkFlags(flags));
  const report = await checkPolicy(
    kit,
    { location: parseLocation(reference), policies: policy, trust: trustOf(flags), lookup },
    context.call,
  );
  context.result(format, report, reportLines(report));
  tellWarnings(report, context.call);
  requirePolicies(report);
}

function acceptedLines({ reference, digest, signatures }: VerifyResult): string[] {
  const name = nameWithDigest(reference, digest);
  return signatures.flatMap((one) =>
    one.signer === undefined ? [] : [`verified ${name}: ${describeSignature(one)}, ${describeSignatory(one.signer)}`],
  );
}
