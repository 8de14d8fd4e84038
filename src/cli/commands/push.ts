import type { Command } from 'commander';
import { push } from '../../operations/transfer/push.ts';
import { formatLocation, parseLocation } from '../../oci/reference.ts';
import { eachTag } from '../../operations/artifact/references.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addNetworkOptions } from '../options/network.ts';
import { addSignAfterOptions, openSignAfter, type SignAfterFlags } from '../options/sign-after.ts';

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      command
        .argument('<source>', 'a ModelKit in local storage, or oci:DIR[:tag]')
        .argument('[destination]', 'where it goes (default: the registry that the source names)'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (source: string, destination: string | undefined, flags: FormatFlag & SignAfterFlags) =>
      run(source, destination, flags, await context()),
    );
  addSignAfterOptions(command);
}

const EXAMPLES = `
Examples:
  kit push ghcr.io/team/mymodel:v1
  kit push ghcr.io/team/mymodel:v1,prod                    several tags
  kit push mymodel:v1 ghcr.io/team/mymodel:v1              under another name
  kit push oci:./layout:v1 localhost:5000/mymodel:v1       from an image layout
  kit push ghcr.io/team/mymodel:v1 --sign --key cosign.key signed in the registry`;

async function run(
  source: string,
  destination: string | undefined,
  flags: FormatFlag & SignAfterFlags,
  context: CliContext,
): Promise<void> {
  const to = destination === undefined ? {} : { destination: parseLocation(destination) };
  const goal = parseLocation(destination ?? source);
  const { kit, signAfter } = await openSignAfter(flags, goal, context);
  const pushed = await push(kit, { source: parseLocation(source), ...to }, context.call);
  // one signature for each manifest, however many tags it has
  const signed = new Set<string>();
  for (const { digest } of signAfter === undefined ? [] : pushed) {
    if (!signed.has(digest)) await signAfter?.(digest);
    signed.add(digest);
  }
  // of several tags only the first goes under another name
  const [from = ''] = destination === undefined ? [] : eachTag(parseLocation(source)).map(formatLocation);
  const lines = pushed.flatMap(({ reference, digest }) => [
    from === '' || from === reference ? `Pushing ${reference}` : `Pushing ${from} to ${reference}`,
    `Pushed ${digest}`,
  ]);
  context.result(flags.format, pushed, [...lines, ...[...signed].map((digest) => `Signed ${digest}`)]);
}
