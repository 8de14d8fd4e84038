import type { Command } from 'commander';
import type { Admit } from '../../operations/artifact/admission.ts';
import type { Kit } from '../../operations/kit.ts';
import { pull } from '../../operations/transfer/pull.ts';
import type { Transferred } from '../../operations/transfer/push.ts';
import type { ChosenVariant } from '../../operations/model-index/variant.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addLabelOption, chooseByLabel, type LabelFlag } from '../options/label.ts';
import { addNetworkOptions } from '../options/network.ts';
import { addVerifyFirstOptions, openVerifyFirst, type VerifyFirstFlags } from '../options/verify-first.ts';

type Flags = FormatFlag & LabelFlag & VerifyFirstFlags;

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(addFormatOption(command.argument('<reference>', 'registry/repository[:tag[,tag...]][@digest]')))
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
  addVerifyFirstOptions(addLabelOption(command));
}

const EXAMPLES = `
Examples:
  kit pull ghcr.io/team/mymodel:v1
  kit pull ghcr.io/team/mymodel:v1 --verify --key cosign.pub
  kit pull ghcr.io/team/mymodel:all --label quantization=q4_0     one of the variants of an index
  kit pull ghcr.io/team/mymodel@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { kit, admit } = await openVerifyFirst(flags, context);
  const location = parseLocation(reference);
  const chosen = await chooseByLabel(kit, location, 'remote', flags, context.call);
  const pulled =
    chosen === undefined ? await pull(kit, location, { ...context.call, admit }) : await pullChosen(kit, chosen, admit, context);
  context.result(
    flags.format,
    pulled,
    pulled.flatMap((one) => [`Pulling ${one.reference}`, `Pulled ${one.digest}`]),
  );
}

async function pullChosen(kit: Kit, chosen: ChosenVariant, admit: Admit | undefined, { call }: CliContext): Promise<Transferred[]> {
  const { pullVariant } = await import('../../operations/model-index/pull.ts');
  return await pullVariant(kit, chosen, { ...call, admit });
}
