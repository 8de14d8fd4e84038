import type { Annotations } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import type { JsonValue } from '../../oci/json.ts';
import type { Signatory } from '../../signing/verifier.ts';
import type { LineageRelation } from '../tree/tree.ts';

/** Names the schema of the export: docs/audit.schema.json. What is added later keeps the name, what changes gets another one. */
export const AUDIT_SCHEMA = 'https://ocikit.dev/schema/audit/v1.json';

/** Whether something is proven to be by whom was asked for, or only said by whoever wrote it. */
export interface Trust {
  readonly trust: 'verified' | 'claimed';
  /** By whom; verified only. */
  readonly signers?: readonly Signatory[];
  /** Why it is only claimed. */
  readonly reason?: string;
}

/** A statement about an artifact, or a document beside it. */
export interface AuditEvidence extends Trust {
  readonly kind: 'signature' | 'attestation' | 'sbom' | 'provenance' | 'promotion' | 'model signature' | 'other';
  readonly form: 'sigstore bundle' | 'cosign layer' | 'unsigned statement' | 'document';
  /** Of the manifest that refers, or of the layer under cosign's older tag: where this is known from. */
  readonly source: Digest;
  /** The manifest that it is about. */
  readonly about: Digest;
  readonly predicateType?: string;
  readonly artifactType?: string;
  /** Who signed by its own word, where that is not verified. */
  readonly claimedSigner?: string;
  /** As the manifest that refers says; nobody has signed it. RFC 3339. */
  readonly attached?: string;
  /** What it says, in short; see docs/audit.md for each kind. */
  readonly content?: JsonValue;
}

/** Something that happened, as far as is known. */
export interface AuditEvent extends Trust {
  readonly type: 'packed' | 'signed' | 'attested' | 'listed' | 'promoted' | 'rolled back' | 'moved';
  /** RFC 3339; null where nothing says. */
  readonly when: string | null;
  /** `proven` by a log or a timestamp authority; else somebody's word. */
  readonly time: 'proven' | 'claimed' | 'unknown';
  readonly by: string | null;
  readonly what: Digest;
  readonly detail: string;
  /** The manifest, referrer or layer that says so; `journal`: what this machine noted. */
  readonly source: Digest | 'journal';
}

/** What an artifact comes from, is part of, or became. */
export interface AuditMaterial extends Trust {
  readonly relation: LineageRelation;
  readonly name: string | null;
  readonly digest: Digest | null;
  readonly description: string;
  /** The artifact that names it, or that it is noted of. */
  readonly source: Digest;
  /** The machine that exports this noted it at pack; no part of the artifact. */
  readonly noted?: true;
  /** Why nothing more is known. */
  readonly problem?: string;
}

export interface AuditLayer {
  readonly role: string;
  readonly path: string;
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
  /** Of the uncompressed content. */
  readonly diffId: Digest | null;
}

/** What the manifest and its config say. Their bytes were checked against the digest. */
export interface AuditedArtifact extends Trust {
  readonly source: Digest;
  readonly mediaType: string;
  readonly description: string;
  /** RFC 3339, as the manifest says. */
  readonly created: string | null;
  readonly annotations: Annotations;
  readonly config: { readonly digest: Digest; readonly mediaType: string; readonly size: number } | null;
  readonly kitfile: JsonValue;
  readonly layers: readonly AuditLayer[];
}

/** What an auditor would look for and is not there. */
export interface MissingFact {
  readonly fact: string;
  readonly why: string;
  /** A command or step that would supply it. */
  readonly hint: string;
}

export interface AuditReport {
  readonly $schema: typeof AUDIT_SCHEMA;
  readonly reference: string;
  readonly digest: Digest;
  readonly lookedIn: 'registry' | 'local storage' | 'image layout' | 'archive';
  readonly exported: { readonly at: string; readonly by: string };
  /** Whose signatures count; null: nobody was named, so nothing is verified. */
  readonly verifiedBy: string | null;
  readonly artifact: AuditedArtifact;
  /** Oldest first; without a time last. */
  readonly events: readonly AuditEvent[];
  readonly evidence: readonly AuditEvidence[];
  readonly materials: readonly AuditMaterial[];
  readonly missing: readonly MissingFact[];
  /** What could not be read, and where nothing was looked for. */
  readonly problems: readonly string[];
  /** There is more than the limits allow. */
  readonly truncated: boolean;
}

/** In a steady order: by code point. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
