import type { Admit } from '../artifact/admission.ts';
import type { Kit } from '../kit.ts';
import { judgeArtifact, requirePolicies, tellWarnings } from './policy.ts';
import { openPolicy } from './open.ts';
import type { TrustOverride } from './verifier.ts';

/** A policy file, and what may be said of it elsewhere. */
export interface PolicyFile {
  readonly file: string;
  readonly mode?: 'enforce' | 'warn' | undefined;
}

/** Admits what policies accept. @throws KitError POLICY_VIOLATED from the function that it returns, and what `checkPolicy` throws */
export function admitPolicies(
  kit: Kit,
  files: readonly PolicyFile[],
  { trust = {}, name }: { readonly trust?: TrustOverride; readonly name?: string } = {},
): Admit {
  return async (source, manifest, call) => {
    if (files.length === 0) return;
    const policies = await Promise.all(
      files.map(async ({ file, mode }) => {
        const open = await openPolicy(file);
        return mode === undefined ? open : { ...open, mode };
      }),
    );
    const report = await judgeArtifact(kit, policies, { source, manifest, name: name ?? source.name }, { trust, call });
    tellWarnings(report, call);
    requirePolicies(report);
  };
}
