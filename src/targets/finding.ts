import type { Digest } from '../oci/digest.ts';

/** What a check of a store or image layout may find. */
export type FindingCode =
  | 'marker-missing'
  | 'index-missing'
  | 'index-broken'
  | 'index-behind'
  | 'manifest-missing'
  | 'manifest-damaged'
  | 'manifest-invalid'
  | 'blob-missing'
  | 'blob-damaged'
  | 'blob-unreadable'
  | 'size-wrong'
  | 'stray-file'
  | 'writable-by-all'
  | 'unreached'
  | 'leftovers'
  | 'partials';

export interface Finding {
  readonly code: FindingCode;
  /** `damage`: an artifact cannot be used as it is. `note`: all artifacts are well. */
  readonly severity: 'damage' | 'note';
  readonly digest?: Digest;
  readonly path?: string;
  /** The references that need it. */
  readonly usedBy: readonly string[];
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string;
  /** What was done about it. */
  readonly repaired?: string;
}

/** Findings with the same identity are the same, whenever they were found. */
export function identityOf({ code, digest, path }: Finding): string {
  return `${code} ${digest ?? ''} ${path ?? ''}`;
}
