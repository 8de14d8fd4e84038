import type { Command } from 'commander';
import { writeFile } from 'node:fs/promises';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import type { SignatureFormat } from '../../operations/sign/attach-signed.ts';
import { sbom, SBOM_FORMATS, type SbomFormat, type SbomResult } from '../../operations/sbom/sbom.ts';
import { type Location, parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { oneOf } from '../options/global.ts';
import { addLabelOption, type LabelFlag, locateByLabel } from '../options/label.ts';
import { addSignatureFormatOption, addSignerNetworkOptions, networkFlags, openSigner, type SignerFlags } from '../options/signing.ts';
import { printMessage } from '../render/text.ts';
import { describePlaces } from './sign.ts';

interface Flags extends SignerFlags, LabelFlag {
  readonly format: SbomFormat;
  readonly output?: string;
  readonly remote?: boolean;
  readonly attach?: boolean;
  readonly sign?: boolean;
  readonly signatureFormat: SignatureFormat;
  readonly local?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addSignatureFormatOption(
    addLabelOption(command)
      .argument('<reference>', '[registry/]repository[:tag][@digest], or oci:DIR[:tag]')
      .option(
        '--format <format>',
        'cyclonedx (1.6, ML-BOM) or spdx (3.0.1, AI profile)',
        (value: string) => oneOf('--format', value, SBOM_FORMATS),
        'cyclonedx' satisfies SbomFormat,
      )
      .option('-o, --output <file>', 'write it to a file, not to standard output')
      .option('-r, --remote', 'look in the registry, not in local storage')
      .option('--attach', 'put it beside the artifact')
      .option('--sign', 'attest it: put it beside the artifact, signed with --key')
      .option('--key <file>', "private key for --sign: cosign's file, a PEM file, or env://NAME")
      .option('--local', 'with --attach or --sign: in local storage, though its name has a registry'),
  );
  addSignerNetworkOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
Lists the model, its datasets and every file with its SHA-256. Raw layers are not read for that; tar layers are. The same artifact gives
the same document; its time is $SOURCE_DATE_EPOCH, or what the artifact says. \`kit download sbom\` finds an SBOM that was attached.

Examples:
  kit sbom mymodel:v1 -o mymodel.cdx.json
  kit sbom mymodel:v1 --format spdx
  kit sbom ghcr.io/team/mymodel:v1 --attach --sign --key cosign.key`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { format, output, remote, attach = false, sign = false, signatureFormat, local } = flags;
  requireConsistent(flags);
  const kit = context.kit(networkFlags(flags));
  // where the SBOM is put is where the index is read
  const place = !attach && !sign ? 'local-first' : local === true ? 'local' : placeOf(parseLocation(reference));
  const result = await sbom(
    kit,
    {
      location: await locateByLabel(kit, reference, remote === true ? 'remote' : place, flags, context.call),
      format,
      lookup: remote === true ? 'remote' : 'local-first',
      attach,
      signatureFormat,
      local: local === true,
      ...(sign && { signer: await openSigner(flags, context.env) }),
    },
    context.call,
  );
  if (output !== undefined) await write(output, result.document);
  // what was put beside the artifact can be had from there
  const isShown = output === undefined && !attach && !sign;
  context.result('text', undefined, isShown ? [result.document.trimEnd()] : []);
  if (!isShown) for (const line of describe(result, output)) printMessage(line);
}

function placeOf(location: Location): 'local' | 'remote' {
  return location.type === 'reference' && location.reference.registry !== undefined ? 'remote' : 'local';
}

function describe({ digest, referrer, attestation }: SbomResult, output: string | undefined): string[] {
  return [
    ...(output === undefined ? [] : [`Wrote the SBOM of ${digest} to ${output}`]),
    ...(referrer === undefined ? [] : [`Attached the SBOM of ${digest}: ${referrer}`]),
    ...(attestation === undefined ? [] : [`Attested the SBOM of ${digest}${describePlaces(attestation)}`]),
  ];
}

/** @throws KitError USAGE */
function requireConsistent({ attach = false, sign = false, remote, local, key }: Flags): void {
  const adds = attach || sign;
  if (!sign && key !== undefined) throw new KitError('USAGE', '--key goes with --sign');
  if (local === true && !adds) throw new KitError('USAGE', '--local goes with --attach or --sign');
  if (local === true && remote === true) throw new KitError('USAGE', '--local and --remote contradict each other');
}

async function write(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    throw asPathError(error, path);
  }
}
