import type { CallOptions } from '../events.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobDirectory } from './blob-directory.ts';
import type { Finding } from './finding.ts';
import type { LostManifest } from './lost-manifests.ts';
import type { Root } from './survey.ts';

/** What the lists of a store or layout say, as far as they can be read. */
export interface Lists {
  readonly roots: readonly Root[];
  readonly findings: readonly Finding[];
  /** A list is missing or broken: there may be manifests that nothing names. */
  readonly isIncomplete: boolean;
}

/** A store or image layout, for whoever checks and repairs it. */
export interface Checkable {
  /** As the user would write it. */
  readonly name: string;
  readonly directory: string;
  readonly blobs: BlobDirectory;
  lists(): Promise<Lists>;
  /** Runs `work` while no other process changes the lists; without the lock where this user may not write it. */
  locked<T>(work: () => Promise<T>, options: CallOptions): Promise<T>;
  /**
   * Writes every list anew, from what can be read: without `gone`, and with `lost` listed untagged. Broken files are kept as `NAME.broken`.
   * Under the lock.
   */
  rewrite(gone: ReadonlySet<Digest>, lost: readonly LostManifest[]): Promise<void>;
}
