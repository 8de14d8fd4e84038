import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import type { Admit } from '../../operations/artifact/admission.ts';
import type { Kit } from '../../operations/kit.ts';
import type { CliContext } from '../context.ts';
import { collect } from './network.ts';
import { addPolicyOption, type PolicyFlags, trustOf, withoutTrust } from './policy.ts';
import {
  addClientKeyOption,
  addVerifyOptions,
  networkFlags,
  openVerifier,
  readAnnotations,
  strayVerifyFlag,
  type VerifyFlags,
} from './signing.ts';

export interface VerifyFirstFlags extends VerifyFlags, PolicyFlags {
  readonly verify?: boolean;
  readonly annotations?: readonly string[];
}

/** For commands that bring an artifact here: refuse it before a byte is written unless it is signed, or a policy accepts it. */
export function addVerifyFirstOptions(command: Command): Command {
  addPolicyOption(command, 'only what this policy accepts (exit status 6 else)');
  return addVerifyOptions(
    addClientKeyOption(
      command
        .option('--verify', 'only if it is signed (exit status 6 else); --key is then the public key of the signer, as in `kit verify`')
        .option('--annotations <key=value>', 'with --verify: only signatures with this annotation count (repeatable)', collect),
    ),
  );
}

/** The kit of the command, and what admits artifacts where `--verify` or `--policy` asks for it. @throws KitError USAGE */
export async function openVerifyFirst(
  flags: VerifyFirstFlags,
  context: Pick<CliContext, 'kit' | 'env'>,
): Promise<{ readonly kit: Kit; readonly admit?: Admit }> {
  const { verify, policy, annotations, clientKey } = flags;
  if (verify !== true) {
    const others = policy === undefined ? flags : withoutTrust(flags);
    const stray = clientKey !== undefined ? '--client-key' : annotations !== undefined ? '--annotations' : strayVerifyFlag(others);
    if (stray !== undefined) throw new KitError('USAGE', `${stray} goes with --verify`);
    const kit = context.kit(flags);
    return { kit, ...(policy !== undefined && { admit: await policyAdmit(kit, policy, flags) }) };
  }
  const verifier = await openVerifier(flags, context.env, '--verify');
  const kit = context.kit(networkFlags(flags));
  const { admitSigned } = await import('../../operations/sign/admit-signed.ts');
  const signed = admitSigned(kit, { verifier, annotations: readAnnotations(annotations) });
  if (policy === undefined) return { kit, admit: signed };
  const accepted = await policyAdmit(kit, policy, flags);
  const both: Admit = async (...asked) => {
    await signed(...asked);
    await accepted(...asked);
  };
  return { kit, admit: both };
}

async function policyAdmit(kit: Kit, policies: readonly string[], flags: VerifyFirstFlags): Promise<Admit> {
  const { admitPolicies } = await import('../../operations/policy/admit-policies.ts');
  return admitPolicies(
    kit,
    policies.map((file) => ({ file })),
    { trust: trustOf(flags) },
  );
}
