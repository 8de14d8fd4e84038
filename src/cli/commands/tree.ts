import type { Command } from 'commander';
import { parseLocation } from '../../oci/reference.ts';
import { lineage } from '../../operations/tree/tree.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { oneOf } from '../options/global.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';
import { printMessage } from '../render/text.ts';

const FORMATS = ['text', 'json', 'html'] as const;

interface Flags extends KitFlags {
  readonly remote?: boolean;
  readonly format: (typeof FORMATS)[number];
}

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    command
      .argument('<reference>', '[registry/]repository[:tag][@digest], oci:DIR[:tag], or oci-archive:FILE[:tag]')
      .option('-r, --remote', 'look in the registry, not in local storage: signatures are there after `kit pull`')
      .option('--format <format>', `output: ${FORMATS.join(', ')}`, (value: string) => oneOf('--format', value, FORMATS), 'text'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
Shown are the base ModelKit and its own, datasets, where it comes from, the members of an index, and all that refers to it: signatures,
attestations, SBOMs, promotion records, images, and what refers to those. Nothing is verified: \`kit verify\` does that. No layer is read.

Examples:
  kit tree ghcr.io/team/mymodel:v1
  kit tree --remote ghcr.io/team/mymodel:v1 --format json | jq '.. | .digest? // empty'
  kit tree mymodel:v1 --format html > lineage.html         one file, with no script and no request`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const lookup = flags.remote === true ? 'remote' : 'local-first';
  const result = await lineage(context.kit(flags), { location: parseLocation(reference), lookup }, context.call);
  context.result(flags.format, result, await draw(flags.format, result));
  if (result.truncated && flags.format === 'text') printMessage('there is more than is shown: the tree is too large or too deep');
}

async function draw(format: Flags['format'], result: Awaited<ReturnType<typeof lineage>>): Promise<string[]> {
  switch (format) {
    case 'json':
      return [];
    case 'html': {
      const { treeHtml } = await import('../render/tree-html.ts');
      return [treeHtml(result)];
    }
    case 'text': {
      const { treeLines } = await import('../render/tree-text.ts');
      return treeLines(result.root);
    }
  }
}
