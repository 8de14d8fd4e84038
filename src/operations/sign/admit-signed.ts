import type { SignatureRequirement } from '../../signing/requirement.ts';
import { type Admit, coveringIndex } from '../artifact/admission.ts';
import type { Kit } from '../kit.ts';
import { findSignaturesOf, requireVerified } from './verify.ts';

/**
 * Admits what is signed, and what was chosen by label from an index that is signed.
 * @throws KitError SIGNATURE_INVALID from the function that it returns
 */
export function admitSigned(kit: Kit, { verifier, annotations }: Omit<SignatureRequirement, 'digest'>): Admit {
  return async (source, manifest, call) => {
    const own = await findSignaturesOf(kit, source, manifest, { verifier, annotations }, call);
    const index = own.verified ? undefined : await coveringIndex(source, manifest, call);
    if (index === undefined) requireVerified(own);
    else requireVerified(own, await findSignaturesOf(kit, index.source, index.manifest, { verifier, annotations }, call));
  };
}
