import type { Command } from 'commander';
import type { TrustOverride } from '../../operations/policy/verifier.ts';
import { collect } from './network.ts';
import type { TrustFlags, VerifyFlags } from './signing.ts';

export interface PolicyFlags {
  readonly policy?: readonly string[];
}

export function addPolicyOption(command: Command, what: string): Command {
  return command.option('--policy <file>', `${what}: YAML, .rego, .wasm or a bundle of OPA (repeatable; see docs/policy.md)`, collect);
}

/** What of the options for signers goes with a policy too: whom to trust. Who must have signed is said by the policy. */
export function trustOf({ trustedRoot: file, tufMirror, tufRoot, offline }: TrustFlags): TrustOverride {
  return { file, tufMirror, tufRoot, offline };
}

/** The same options without those. */
export function withoutTrust(flags: VerifyFlags): VerifyFlags {
  const { trustedRoot: _root, tufMirror: _mirror, tufRoot: _first, offline: _offline, ...others } = flags;
  return others;
}
