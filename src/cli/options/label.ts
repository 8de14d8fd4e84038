import type { Command } from 'commander';
import type { CallOptions } from '../../events.ts';
import { type Location, parseLocation } from '../../oci/reference.ts';
import type { Admit } from '../../operations/artifact/admission.ts';
import type { Kit } from '../../operations/kit.ts';
import type { Lookup } from '../../operations/artifact/open-location.ts';
import type { ChosenVariant } from '../../operations/model-index/variant.ts';
import { collect } from './network.ts';

export interface LabelFlag {
  readonly label?: readonly string[];
}

/** For commands that work on one artifact: which one of an index. */
export function addLabelOption(command: Command): Command {
  return command.option('-l, --label <key=value>', 'of an index: the artifact with this label (repeatable, all must hold)', collect);
}

/** What the labels choose; undefined where none are given. @throws KitError USAGE, and as chooseVariant */
export async function chooseByLabel(
  kit: Kit,
  location: Location,
  lookup: Lookup,
  { label }: LabelFlag,
  call: CallOptions,
): Promise<ChosenVariant | undefined> {
  if (label === undefined) return undefined;
  const [{ chooseVariant }, { parseSelector }] = await Promise.all([
    import('../../operations/model-index/variant.ts'),
    import('../../operations/model-index/variant-labels.ts'),
  ]);
  return await chooseVariant(kit, location, lookup, parseSelector(label), call);
}

/** The location that a text names, or with labels what they choose of it. @throws KitError as chooseByLabel */
export async function locateByLabel(kit: Kit, text: string, lookup: Lookup, flags: LabelFlag, call: CallOptions): Promise<Location> {
  const named = parseLocation(text);
  return (await chooseByLabel(kit, named, lookup, flags, call))?.location ?? named;
}

/** Of an index, a signature over the index counts as well as one over what was chosen. */
export async function admitByLabel(admit: Admit | undefined, chosen: ChosenVariant | undefined): Promise<Admit | undefined> {
  if (admit === undefined || chosen === undefined) return admit;
  const { admitChosen } = await import('../../operations/model-index/variant.ts');
  return admitChosen(admit, chosen);
}
