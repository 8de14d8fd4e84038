import type { Command } from 'commander';
import { copy, type Copied } from '../../operations/transfer/copy.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addNetworkOptions } from '../options/network.ts';
import { addVerifyFirstOptions, openVerifyFirst, type VerifyFirstFlags } from '../options/verify-first.ts';
import { formatBytes } from '../render/text.ts';

interface CopyFlags extends FormatFlag, VerifyFirstFlags {
  readonly referrers?: boolean;
  readonly allTags?: boolean;
  readonly fromLocal?: boolean;
  readonly toLocal?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      command
        .argument(
          '<source>',
          'a name with a registry is in that registry, one without is in local storage; or oci:DIR[:tag], oci-archive:FILE[:tag]',
        )
        .argument('<destination>', 'the same; without a tag it keeps those of the source')
        .option('-r, --referrers', 'with signatures, attestations, SBOMs and what else refers to it')
        .option('-a, --all-tags', 'every tag of the source')
        .option('--from-local', 'take the source from local storage, although its name has a registry')
        .option('--to-local', 'put the copy into local storage, although its name has a registry'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (source: string, destination: string, flags: CopyFlags) => run(source, destination, flags, await context()));
  addVerifyFirstOptions(command);
}

const EXAMPLES = `
Examples:
  kit copy ghcr.io/team/mymodel:v1 registry.example.com/prod/mymodel:v1    between registries, nothing is stored here
  kit copy --referrers ghcr.io/team/mymodel:v1,prod harbor.example.com/ai/mymodel
  kit copy --verify --key cosign.pub ghcr.io/team/mymodel:v1 registry.example.com/prod/mymodel:v1
  kit copy --all-tags ghcr.io/team/mymodel oci:./mirror
  kit copy mymodel:v1 ghcr.io/team/mymodel:v1                              from local storage
  kit copy --to-local ghcr.io/team/mymodel:v1 ghcr.io/team/mymodel:v1      into local storage, as pull does`;

async function run(source: string, destination: string, flags: CopyFlags, context: CliContext): Promise<void> {
  const { referrers = false, allTags = false, fromLocal = false, toLocal = false } = flags;
  const { kit, admit } = await openVerifyFirst(flags, context);
  const copied = await copy(
    kit,
    { source: parseLocation(source), destination: parseLocation(destination), referrers, allTags, fromLocal, toLocal, admit },
    context.call,
  );
  context.result(flags.format, copied, copied.flatMap(describe));
}

function describe({ source, reference, digest, moved, mounted, skipped }: Copied): string[] {
  const amounts = [
    `${formatBytes(moved.bytes)} moved`,
    ...(mounted.count > 0 ? [`${formatBytes(mounted.bytes)} mounted`] : []),
    ...(skipped.count > 0 ? [`${formatBytes(skipped.bytes)} there already`] : []),
  ];
  return [`Copying ${source} to ${reference}`, `Copied ${digest} (${amounts.join(', ')})`];
}
