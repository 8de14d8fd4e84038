import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import type { Admit } from '../../operations/admission.ts';
import type { Kit } from '../../operations/kit.ts';
import type { CliContext } from '../context.ts';
import { collect } from './network.ts';
import {
  addClientKeyOption,
  addVerifyOptions,
  networkFlags,
  openVerifier,
  readAnnotations,
  strayVerifyFlag,
  type VerifyFlags,
} from './signing.ts';

export interface VerifyFirstFlags extends VerifyFlags {
  readonly verify?: boolean;
  readonly annotations?: readonly string[];
}

/** For commands that bring an artifact here: refuse it before a byte is written unless it is signed. */
export function addVerifyFirstOptions(command: Command): Command {
  return addVerifyOptions(
    addClientKeyOption(
      command
        .option('--verify', 'only if it is signed (exit status 6 else); --key is then the public key of the signer, as in `kit verify`')
        .option('--annotations <key=value>', 'with --verify: only signatures with this annotation count (repeatable)', collect),
    ),
  );
}

/** The kit of the command, and what admits artifacts where `--verify` asks for it. @throws KitError USAGE */
export async function openVerifyFirst(
  flags: VerifyFirstFlags,
  context: Pick<CliContext, 'kit' | 'env'>,
): Promise<{ readonly kit: Kit; readonly admit?: Admit }> {
  const { verify, annotations, clientKey } = flags;
  if (verify !== true) {
    const stray = clientKey !== undefined ? '--client-key' : annotations !== undefined ? '--annotations' : strayVerifyFlag(flags);
    if (stray !== undefined) throw new KitError('USAGE', `${stray} goes with --verify`);
    return { kit: context.kit(flags) };
  }
  const verifier = await openVerifier(flags, context.env, '--verify');
  const kit = context.kit(networkFlags(flags));
  const { admitSigned } = await import('../../operations/admit-signed.ts');
  return { kit, admit: admitSigned(kit, { verifier, annotations: readAnnotations(annotations) }) };
}
