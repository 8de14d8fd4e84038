import type { Command } from 'commander';
import { type Attachment, ATTACHMENTS, download } from '../../operations/sign/download.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { oneOf } from '../options/global.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';
import { printMessage } from '../render/text.ts';

type Flags = FormatFlag & KitFlags & { readonly type?: string; readonly remote?: boolean };

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      command
        .argument('<what>', ATTACHMENTS.join(', '), (value: string) => oneOf('WHAT', value, ATTACHMENTS))
        .argument('<reference>', '[registry/]repository[:tag][@digest], or oci:DIR[:tag]')
        .option('--type <type>', 'attestations of this predicate type only: slsaprovenance1, cyclonedx, custom, ..., or a URI')
        .option('-r, --remote', 'look in the registry, not in local storage'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (what: Attachment, reference: string, flags: Flags) => run(what, reference, flags, await context()));
}

const EXAMPLES = `
Prints what lies beside an artifact, and verifies nothing: \`kit verify\` and \`kit verify-attestation\` do. Signatures and attestations
are printed as JSON, one a line, as cosign does; an SBOM as it is.

Examples:
  kit download signature ghcr.io/team/mymodel:v1
  kit download attestation ghcr.io/team/mymodel:v1 --type slsaprovenance1 | jq -r .dsseEnvelope.payload | base64 -d
  kit download sbom ghcr.io/team/mymodel:v1 > mymodel.cdx.json`;

async function run(what: Attachment, reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { type, remote, format } = flags;
  const result = await download(
    context.kit(flags),
    {
      location: parseLocation(reference),
      what,
      ...(type !== undefined && { type }),
      lookup: remote === true ? 'remote' : 'local-first',
    },
    context.call,
  );
  // a document of many lines stands alone
  const shown = what === 'sbom' ? result.found.slice(0, 1) : result.found;
  context.result(
    format,
    result,
    shown.map(({ content }) => content.replace(/\n$/, '')),
  );
  if (format === 'json') return;
  if (shown.length < result.found.length)
    printMessage(`there are ${result.found.length} SBOMs, this is the first: \`--format json\` shows all`);
  printMessage('nothing of this was verified');
}
