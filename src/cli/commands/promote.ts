import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { type Digest, isDigest } from '../../oci/digest.ts';
import { parseLocation } from '../../oci/reference.ts';
import { promote } from '../../operations/promote/promote.ts';
import type { MoveOutcome } from '../../operations/promote/promote-tag.ts';
import type { Signer } from '../../signing/signer.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addNetworkOptions } from '../options/network.ts';
import { openSigner } from '../options/signing.ts';
import { addVerifyFirstOptions, openVerifyFirst, type VerifyFirstFlags } from '../options/verify-first.ts';
import { singleLine } from '../render/plain-text.ts';

/** Of both commands that move a tag. */
export interface MoveFlags extends FormatFlag, VerifyFirstFlags {
  readonly local?: boolean;
  readonly recordKey?: string;
  readonly by?: string;
  readonly expect?: string;
  readonly dryRun?: boolean;
}

export function addMoveOptions(command: Command): Command {
  addVerifyFirstOptions(command);
  command
    .option('--record-key <file>', 'private key that signs the record of the move; without it the record is a plain statement')
    .option('--by <name>', 'who does it, for the record (default: the user of the CI system or of this machine)')
    .option('--local', 'names with a registry mean local storage')
    .option('--dry-run', 'say what would be done, change nothing');
  return addNetworkOptions(addFormatOption(command));
}

export function register(command: Command, context: OpenContext): void {
  addMoveOptions(
    command
      .argument('<source>', 'what is promoted: [registry/]repository[:tag][@digest], or oci:DIR[:tag]')
      .argument('<destination>', 'the tag that goes there, in the same repository or another one')
      .option('--expect <digest>', 'refuse unless the tag is on this digest (`none`: unless there is no such tag)'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (source: string, destination: string, flags: MoveFlags) => run(source, destination, flags, await context()));
}

const EXAMPLES = `
Within a repository only the tag moves. From another one the artifact is copied first, with its signatures and all that refers to it.
The move is recorded beside the artifact (an in-toto statement: from, to, when, by), which \`kit history\` and \`kit rollback\` read.

Examples:
  kit promote ghcr.io/team/mymodel:1.2.0 ghcr.io/team/mymodel:prod
  kit promote ghcr.io/team/mymodel:1.2.0 registry.example.com/prod/mymodel:1.2.0 --verify --key cosign.pub
  kit promote mymodel:v2 mymodel:prod --by release-bot --record-key cosign.key`;

async function run(source: string, destination: string, flags: MoveFlags, context: CliContext): Promise<void> {
  const { local = false, by, dryRun = false } = flags;
  const { kit, admit } = await openVerifyFirst(flags, context);
  const result = await promote(
    kit,
    {
      source: parseLocation(source),
      destination: parseLocation(destination),
      local,
      admit,
      by,
      dryRun,
      expect: readExpected(flags.expect),
      signer: await openRecordSigner(flags, context.env),
    },
    context.call,
  );
  const done = result.dryRun ? `Would promote ${result.source} to` : `Promoted ${result.source} to`;
  context.result(flags.format, result, describeOutcome(result, done));
}

/** The key that signs the record, where one is given. */
export async function openRecordSigner(flags: MoveFlags, env: NodeJS.ProcessEnv): Promise<Signer | undefined> {
  return flags.recordKey === undefined ? undefined : await openSigner({ key: flags.recordKey }, env);
}

/** @throws KitError USAGE */
function readExpected(text: string | undefined): Digest | null | undefined {
  return text === 'none' ? null : readDigest(text);
}

/** @throws KitError USAGE */
export function readDigest(text: string | undefined): Digest | undefined {
  if (text === undefined || isDigest(text)) return text;
  throw new KitError('USAGE', `invalid value \`${text}\` for --expect`, { hint: 'a digest is `sha256:` and 64 hexadecimal digits' });
}

/** What became of the tag; always with both digests. */
export function describeOutcome({ reference, from, to, changed, dryRun, record }: MoveOutcome, done: string): string[] {
  if (!changed && !dryRun) return [`${singleLine(reference)} is there already`, `  ${to}`];
  if (from === to) return [`${singleLine(reference)} is there already, nothing would change`, `  ${to}`];
  return [
    `${singleLine(done)} ${singleLine(reference)}`,
    `  from ${from ?? '(new)'}`,
    `  to   ${to}`,
    ...(record === undefined ? [] : [`  recorded as ${record}`]),
  ];
}
