import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { parseLocation } from '../../oci/reference.ts';
import { history, type HistoryEntry, type HistoryResult } from '../../operations/history/history.ts';
import type { Attachments } from '../../operations/history/examine.ts';
import type { Changes } from '../../operations/history/changes.ts';
import type { TagMove } from '../../operations/history/move.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { oneOf } from '../options/global.ts';
import {
  addSignerNetworkOptions,
  addVerifyOptions,
  networkFlags,
  openVerifier,
  strayVerifyFlag,
  type VerifyFlags,
} from '../options/signing.ts';
import { singleLine } from '../render/plain-text.ts';
import { formatBytes } from '../render/text.ts';

const ORDERS = ['version', 'created'] as const;

interface Flags extends FormatFlag, VerifyFlags {
  readonly order?: (typeof ORDERS)[number];
  readonly limit?: string;
  readonly local?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .argument('<repository>', '[registry/]repository, or oci:DIR; with :tag the history of that tag')
      .option('--order <order>', 'version or created (default: version where tags are versions)', (value: string) =>
        oneOf('--order', value, ORDERS),
      )
      .option('-n, --limit <count>', 'only the newest')
      .option('--key <file>', 'verify signatures with this public key; without it they are only counted')
      .option('--local', 'a name with a registry means local storage'),
  );
  addSignerNetworkOptions(addVerifyOptions(command))
    .addHelpText('after', EXAMPLES)
    .action(async (repository: string, flags: Flags) => run(repository, flags, await context()));
}

const EXAMPLES = `
Newest first, each with what changed since the one before it. The history of a tag is what \`kit promote\` and \`kit rollback\` recorded
beside the artifacts, and what this machine noted; where there is nothing of it, the artifacts up to the one that has the tag.

Examples:
  kit history ghcr.io/team/mymodel
  kit history ghcr.io/team/mymodel:prod --key cosign.pub
  kit history mymodel --order created -n 5
  kit history ghcr.io/team/mymodel --format json | jq '.entries[] | {tags, digest, size}'`;

async function run(repository: string, flags: Flags, context: CliContext): Promise<void> {
  const { order, local = false } = flags;
  const limit = flags.limit === undefined ? undefined : readLimit(flags.limit);
  const verifier =
    flags.key === undefined && strayVerifyFlag(flags) === undefined ? undefined : await openVerifier(flags, context.env, 'history');
  const result = await history(
    context.kit(networkFlags(flags)),
    { location: parseLocation(repository), order, limit, verifier, local },
    context.call,
  );
  context.result(flags.format, result, describe(result));
}

function readLimit(text: string): number {
  const limit = Number(text);
  if (Number.isSafeInteger(limit) && limit >= 1) return limit;
  throw new KitError('USAGE', `invalid value \`${text}\` for --limit`, { hint: 'a whole number, at least 1' });
}

const ORDER_NAMES = { moves: 'its moves', version: 'by version', created: 'by creation' } as const;

function describe({ reference, order, entries }: HistoryResult): string[] {
  return [`${singleLine(reference)} (${ORDER_NAMES[order]}, newest first)`, ...entries.flatMap(describeEntry)];
}

function describeEntry(entry: HistoryEntry): string[] {
  const { digest, tags, move, created, description, size, attachments, changes, problem, packedFrom } = entry;
  const head = tags.length > 0 ? tags.join(', ') : move === undefined ? 'before' : describeMove(move);
  const facts = [description, size === undefined ? undefined : formatBytes(size), created === undefined ? undefined : `created ${created}`];
  const known = facts.filter((fact) => fact !== undefined);
  return [
    '',
    singleLine(head),
    `  ${digest}`,
    ...(known.length === 0 ? [] : [`  ${singleLine(known.join(', '))}`]),
    ...(packedFrom === undefined ? [] : [`  ${singleLine(describeSource(packedFrom))}`]),
    ...(attachments === undefined ? [] : [`  ${singleLine(describeAttachments(attachments))}`]),
    ...(problem === undefined ? [] : [`  cannot be read: ${singleLine(problem)}`]),
    ...(changes === undefined ? [] : describeChanges(changes)),
  ];
}

function describeSource({ commit, remote, path, when }: NonNullable<HistoryEntry['packedFrom']>): string {
  const place = [remote, path].filter((text) => text !== undefined).join(' ');
  return `packed in commit ${commit}${place === '' ? '' : ` of ${place}`} (noted on this machine ${when}, not part of the artifact)`;
}

function describeMove({ kind, when, by, from, evidence, signed }: TagMove): string {
  const what = kind === 'promotion' ? 'promoted' : kind === 'rollback' ? 'rolled back' : 'moved';
  const source = from === undefined || from === '' ? '' : kind === 'rollback' ? ` to ${from}` : ` from ${from}`;
  const who = by === undefined || by === '' ? '' : ` by ${by}`;
  const basis =
    evidence === 'journal' ? 'noted on this machine' : signed === true ? 'record is signed, not verified' : 'record is not signed';
  return `${when} ${what}${source}${who} (${basis})`;
}

function describeAttachments({ signature, attestation, sbom, promotion, verified, signers = [], reasons = [] }: Attachments): string {
  const counts = [count(attestation, 'attestation'), count(sbom, 'SBOM'), count(promotion, 'promotion record')];
  const others = counts.filter((text) => text !== '');
  const signed =
    verified === true
      ? `signed by ${signers.join(', ')}`
      : verified === false
        ? `NOT signed by whom it must be${reasons[0] === undefined ? '' : ` (${reasons[0]})`}`
        : signature === 0
          ? 'no signatures'
          : `${count(signature, 'signature')} (not verified)`;
  return [signed, ...others].join(', ');
}

function count(number: number, what: string): string {
  return number === 0 ? '' : `${number} ${what}${number === 1 ? '' : 's'}`;
}

const MAX_FIELDS = 12;

function describeChanges({ unit, added, removed, kept, fields, annotationsMatch }: Changes): string[] {
  if (unit === undefined) return ['  an index before or now, and not both: nothing to compare'];
  const layers = [
    ...(added.length > 0 ? [`+${added.length} (${sizeOf(added)})`] : []),
    ...(removed.length > 0 ? [`-${removed.length} (${sizeOf(removed)})`] : []),
  ];
  const shown = fields
    .slice(0, MAX_FIELDS)
    .map(({ field, before, after }) => singleLine(`  ~ ${field}: ${before ?? '(none)'} -> ${after ?? '(none)'}`));
  return [
    `  ${unit}: ${layers.length === 0 ? 'the same' : `${layers.join(' ')}, ${kept} the same`}${annotationsMatch ? '' : '; other annotations'}`,
    ...shown,
    ...(fields.length > MAX_FIELDS ? [`  ~ ${fields.length - MAX_FIELDS} more fields: --format json shows them`] : []),
  ];
}

function sizeOf(layers: Changes['added']): string {
  return formatBytes(layers.reduce((sum, { size }) => sum + size, 0));
}
