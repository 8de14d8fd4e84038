import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import type { SignatureFormat } from '../../operations/sign/attach-signed.ts';
import type { Kit } from '../../operations/kit.ts';
import type { Signer } from '../../signing/signer.ts';
import type { SignResult } from '../../operations/sign/sign.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Location } from '../../oci/reference.ts';
import type { CliContext } from '../context.ts';
import {
  addClientKeyOption,
  addSignatureFormatOption,
  addSignOptions,
  networkFlags,
  openSigner,
  type SignFlags,
  straySignFlag,
} from './signing.ts';

export interface SignAfterFlags extends SignFlags {
  readonly sign?: boolean;
  readonly signatureFormat: SignatureFormat;
}

/** For commands that put an artifact into a registry and can sign it there in one step. */
export function addSignAfterOptions(command: Command): Command {
  return addSignOptions(
    addClientKeyOption(
      addSignatureFormatOption(
        command.option('--sign', 'sign it in the registry; --key is then the private key of the signer, as in `kit sign`'),
      ),
    ),
  );
}

/** Signs the manifest `digest` where it was just put. */
type SignAfter = (digest: Digest) => Promise<SignResult>;

/** The kit of the command, and what signs where `--sign` asks for it: a key is read before anything moves. @throws KitError USAGE */
export async function openSignAfter(
  flags: SignAfterFlags,
  destination: Location | undefined,
  context: Pick<CliContext, 'kit' | 'env' | 'call'>,
): Promise<{ readonly kit: Kit; readonly signer?: Signer; readonly signAfter?: SignAfter }> {
  if (flags.sign !== true) {
    const stray = flags.clientKey !== undefined ? '--client-key' : straySignFlag(flags);
    if (stray !== undefined) throw new KitError('USAGE', `${stray} goes with --sign`);
    return { kit: context.kit(flags) };
  }
  if (destination === undefined) throw new KitError('USAGE', '--sign needs --tag');
  if (destination.type === 'archive') {
    throw new KitError('USAGE', '--sign: an archive cannot hold signatures that are added later', {
      hint: 'sign in a registry or an image layout',
    });
  }
  const signer = await openSigner(flags, context.env, { signal: context.call.signal });
  const kit = context.kit(networkFlags(flags));
  const { sign } = await import('../../operations/sign/sign.ts');
  return {
    kit,
    signer,
    signAfter: async (digest) =>
      await sign(kit, { location: withDigest(destination, digest), signer, format: flags.signatureFormat }, context.call),
  };
}

/** What was put there, whatever a tag says by now. */
function withDigest(location: Location, digest: Digest): Location {
  if (location.type !== 'reference') return { ...location, reference: digest };
  return { type: 'reference', reference: { ...location.reference, tags: [], digest } };
}
