import type { Command } from 'commander';
import { pull } from '../../operations/transfer.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addNetworkOptions } from '../options/network.ts';
import { addVerifyFirstOptions, openVerifyFirst, type VerifyFirstFlags } from '../options/verify-first.ts';

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(addFormatOption(command.argument('<reference>', 'registry/repository[:tag[,tag...]][@digest]')))
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: FormatFlag & VerifyFirstFlags) => run(reference, flags, await context()));
  addVerifyFirstOptions(command);
}

const EXAMPLES = `
Examples:
  kit pull ghcr.io/team/mymodel:v1
  kit pull ghcr.io/team/mymodel:v1 --verify --key cosign.pub
  kit pull ghcr.io/team/mymodel@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae`;

async function run(reference: string, flags: FormatFlag & VerifyFirstFlags, context: CliContext): Promise<void> {
  const { kit, admit } = await openVerifyFirst(flags, context);
  const pulled = await pull(kit, parseLocation(reference), { ...context.call, admit });
  context.result(
    flags.format,
    pulled,
    pulled.flatMap((one) => [`Pulling ${one.reference}`, `Pulled ${one.digest}`]),
  );
}
