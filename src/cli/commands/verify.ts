import { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { describeRefusal, describeSignature, findSignatures, requireVerified, type VerifyResult } from '../../operations/verify.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addNetworkOptions, collect, type KitFlags } from '../options/network.ts';
import { printMessage } from '../render/text.ts';

type Flags = FormatFlag &
  Omit<KitFlags, 'key'> & {
    readonly key?: string;
    readonly clientKey?: string;
    readonly annotations?: readonly string[];
    readonly remote?: boolean;
  };

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .argument('<reference>', '[registry/]repository[:tag][@digest], or oci:DIR[:tag]')
      .option('--key <file>', 'PEM file with the public key of whoever must have signed it')
      .option('-a, --annotations <key=value>', 'accept only signatures with this annotation (repeatable)', collect)
      .option('-r, --remote', 'look in the registry, not in local storage'),
  );
  // `--key` is the signer's here, as in cosign
  for (const option of addNetworkOptions(new Command()).options) if (option.long !== '--key') command.addOption(option);
  command
    .option('--client-key <file>', 'PEM file with the key of the client certificate')
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
Accepted are signatures of cosign (sigstore bundles and the older sha256-*.sig tags) over the digest of the manifest.
An attestation is never taken for a signature. Transparency logs are not consulted when only a key is given.
Exit status 6: no signature is accepted.

Examples:
  kit verify ghcr.io/team/mymodel:v1 --key cosign.pub
  kit verify --remote ghcr.io/team/mymodel:v1 --key cosign.pub -a stage=production
  kit verify oci:layout:v1 --key cosign.pub --format json`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { key, clientKey, annotations, remote, format, ...network } = flags;
  if (key === undefined)
    throw new KitError('USAGE', 'verify needs a key', { hint: 'add `--key FILE` with the public key, such as cosign.pub' });
  const kit = context.kit({ ...network, ...(clientKey !== undefined && { key: clientKey }) });
  const result = await findSignatures(
    kit,
    {
      location: parseLocation(reference),
      key,
      annotations: readAnnotations(annotations ?? []),
      lookup: remote === true ? 'remote' : 'local-first',
    },
    context.call,
  );
  context.result(format, { ...result, transparencyLog: 'not consulted' }, acceptedLines(result, key));
  requireVerified(result);
  if (format === 'json') return;
  for (const signature of result.signatures) if (!signature.accepted) printMessage(describeRefusal(signature));
  printMessage('transparency logs were not consulted: only a key was given');
}

function acceptedLines({ reference, digest, signatures }: VerifyResult, key: string): string[] {
  const name = reference.endsWith(`@${digest}`) ? reference : `${reference}@${digest}`;
  return signatures.filter(({ accepted }) => accepted).map((signature) => `verified ${name}: ${describeSignature(signature)}, key ${key}`);
}

/** @throws KitError USAGE */
function readAnnotations(pairs: readonly string[]): Record<string, string> {
  const found = new Map<string, string>();
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals);
    if (equals < 1) throw new KitError('USAGE', `invalid annotation \`${pair}\``, { hint: 'write it as KEY=VALUE' });
    // one of the two would be forgotten
    if (found.has(name)) throw new KitError('USAGE', `the annotation \`${name}\` is given twice`);
    found.set(name, pair.slice(equals + 1));
  }
  return Object.fromEntries(found);
}
