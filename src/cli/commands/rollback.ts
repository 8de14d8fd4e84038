import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { parseLocation } from '../../oci/reference.ts';
import { rollback } from '../../operations/promote/rollback.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { openVerifyFirst } from '../options/verify-first.ts';
import { singleLine } from '../render/plain-text.ts';
import { addMoveOptions, describeOutcome, type MoveFlags, openRecordSigner, readDigest } from './promote.ts';

interface Flags extends MoveFlags {
  readonly to?: string;
  readonly steps?: string;
  readonly byVersion?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addMoveOptions(
    command
      .argument('<reference>', 'the tag: [registry/]repository:tag, or oci:DIR:tag')
      .option('--to <reference>', 'where it goes: a tag or digest of the same repository')
      .option('--steps <count>', 'how far back (default: 1)')
      .option('--by-version', 'where no move of the tag is known: to the release before the one that it is on')
      .option('--expect <digest>', 'refuse unless the tag is on this digest; when it was rolled back from there already, do nothing'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
What the tag was is known from the records of \`kit promote\` and from what this machine noted. Where it is not known nothing is
guessed: exit status 3, and the hint names the candidates. Going back twice goes back two steps; in scripts give --expect or --to, so
that a second run does nothing. Exit status 1: the tag is not where --expect says; 6: the target is not signed (--verify) or not complete.

Examples:
  kit rollback ghcr.io/team/mymodel:prod
  kit rollback ghcr.io/team/mymodel:prod --to 1.1.0 --verify --key cosign.pub
  kit rollback ghcr.io/team/mymodel:prod --expect sha256:4f5e... --format json
  kit rollback ghcr.io/team/mymodel:prod --dry-run`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { to, byVersion, local = false, by, dryRun = false } = flags;
  if (to !== undefined && (flags.steps !== undefined || byVersion === true))
    throw new KitError(
      'USAGE',
      `--to says where the tag goes: ${flags.steps === undefined ? '--by-version' : '--steps'} cannot say it too`,
    );
  const steps = flags.steps === undefined ? undefined : readSteps(flags.steps);
  const expect = readDigest(flags.expect);
  const { kit, admit } = await openVerifyFirst(flags, context);
  const signer = await openRecordSigner(flags, context.env);
  const result = await rollback(
    kit,
    { location: parseLocation(reference), to, steps, byVersion: byVersion === true, local, admit, signer, by, expect, dryRun },
    context.call,
  );
  const done = result.dryRun ? 'Would roll back' : 'Rolled back';
  const because = to === undefined ? [`  because ${singleLine(result.because)}`] : [];
  context.result(flags.format, result, [...describeOutcome(result, done), ...because]);
}

function readSteps(text: string): number {
  const steps = Number(text);
  if (Number.isSafeInteger(steps) && steps >= 1) return steps;
  throw new KitError('USAGE', `invalid value \`${text}\` for --steps`, { hint: 'a whole number, at least 1' });
}
