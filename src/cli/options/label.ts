import type { Command } from 'commander';
import type { CallOptions } from '../../events.ts';
import { type Location, parseLocation } from '../../oci/reference.ts';
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

/** The labels as they are looked for; undefined where none are given. @throws KitError USAGE */
export async function selectorOf({ label }: LabelFlag): Promise<Record<string, string> | undefined> {
  if (label === undefined) return undefined;
  const { parseSelector } = await import('../../operations/model-index/variant-labels.ts');
  return parseSelector(label);
}

/** What the labels choose; undefined where none are given. @throws KitError USAGE, and as chooseVariant */
export async function chooseByLabel(
  kit: Kit,
  location: Location,
  lookup: Lookup,
  flags: LabelFlag,
  call: CallOptions,
): Promise<ChosenVariant | undefined> {
  const selector = await selectorOf(flags);
  if (selector === undefined) return undefined;
  const { chooseVariant } = await import('../../operations/model-index/variant.ts');
  return await chooseVariant(kit, location, lookup, selector, call);
}

/** The location that a text names, or with labels what they choose of it. @throws KitError as chooseByLabel */
export async function locateByLabel(kit: Kit, text: string, lookup: Lookup, flags: LabelFlag, call: CallOptions): Promise<Location> {
  const named = parseLocation(text);
  return (await chooseByLabel(kit, named, lookup, flags, call))?.location ?? named;
}
