import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { findAttestations, requireAttested, type VerifyAttestationResult } from '../../operations/sign/verify-attestation.ts';
import { describeSignatory, describeSignature, nameWithDigest } from '../../operations/sign/verify.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import {
  addSignerNetworkOptions,
  addVerifyOptions,
  describeLogs,
  networkFlags,
  openVerifier,
  type VerifyFlags,
} from '../options/signing.ts';
import { printMessage } from '../render/text.ts';

interface Flags extends FormatFlag, VerifyFlags {
  readonly type?: string;
  readonly remote?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .argument('<reference>', '[registry/]repository[:tag][@digest], or oci:DIR[:tag]')
      .option('--key <file>', 'public key of whoever must have attested it: a PEM file, env://NAME, or hashivault://KEY and the like')
      .option('--type <type>', 'slsaprovenance, slsaprovenance1, link, spdx, spdxjson, cyclonedx, vuln, openvex, custom, or a URI')
      .option('-r, --remote', 'look in the registry, not in local storage'),
  );
  addSignerNetworkOptions(addVerifyOptions(command))
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
Accepted are attestations of the type that is asked for, over the digest of the manifest. \`--format json\` shows what they say.
A plain signature is never taken for an attestation. Exit status 6: none is accepted.

Examples:
  kit verify-attestation ghcr.io/team/mymodel:v1 --key cosign.pub --type slsaprovenance1
  kit verify-attestation ghcr.io/team/mymodel:v1 --key cosign.pub --type cyclonedx --format json |
    jq '.attestations[] | select(.accepted).statement.predicate'`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { type, remote, format } = flags;
  if (type === undefined)
    throw new KitError('USAGE', 'verify-attestation needs --type', {
      hint: 'name what must be attested, such as `--type slsaprovenance1`',
    });
  const verifier = await openVerifier(flags, context.env, 'verify-attestation');
  const result = await findAttestations(
    context.kit(networkFlags(flags)),
    { location: parseLocation(reference), verifier, type, lookup: remote === true ? 'remote' : 'local-first' },
    context.call,
  );
  context.result(format, { ...result, transparencyLog: describeLogs(flags) }, acceptedLines(result));
  requireAttested(result);
  if (format === 'json') return;
  // mostly they are of other types
  const others = result.attestations.filter(({ accepted }) => !accepted).length;
  if (others > 0) printMessage(`${others} more are not accepted: \`--format json\` says why`);
  if (describeLogs(flags) === 'not consulted') printMessage('transparency logs were not consulted: only a key was given');
}

function acceptedLines({ reference, digest, predicateType, attestations }: VerifyAttestationResult): string[] {
  const name = nameWithDigest(reference, digest);
  return attestations.flatMap((one) =>
    one.signer === undefined ? [] : [`verified ${name}: ${predicateType}, ${describeSignature(one)}, ${describeSignatory(one.signer)}`],
  );
}
