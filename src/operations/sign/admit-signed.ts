import type { SignatureRequirement } from '../../signing/requirement.ts';
import type { Admit } from '../artifact/admission.ts';
import type { Kit } from '../kit.ts';
import { findSignaturesOf, requireVerified } from './verify.ts';

/** Admits what is signed. @throws KitError SIGNATURE_INVALID from the function that it returns */
export function admitSigned(kit: Kit, { verifier, annotations }: Omit<SignatureRequirement, 'digest'>): Admit {
  return async (source, manifest, call) => {
    requireVerified(await findSignaturesOf(kit, source, manifest, { verifier, annotations }, call));
  };
}
