import { type ErrorCode, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Filter } from '../artifact/filter.ts';
import type { LoadedArtifact } from '../artifact/load-artifact.ts';

/** What the content of an artifact says of it in a list. */
export interface ListSummary {
  /** Undefined where the Kitfile gives none. */
  readonly name: string | undefined;
  readonly author: string | undefined;
  /** Bytes of all layers. */
  readonly size: number;
  readonly format: string;
}

/** One artifact of a repository. */
export interface ListEntry extends ListSummary {
  readonly repository: string;
  readonly digest: Digest;
  readonly tags: readonly string[];
}

const OUT_OF_REACH: ReadonlySet<ErrorCode> = new Set(['NETWORK', 'UNAUTHORIZED', 'DENIED', 'TLS_FAILED']);

interface ListedArtifact {
  readonly repository: string;
  readonly tags: readonly string[];
  readonly reference: string;
  /** None: all. */
  readonly filters: readonly Filter[];
}

// signatures, images and what else shares a repository is no ModelKit: left out, unless it was asked for by name
export async function describeArtifact(
  load: () => Promise<LoadedArtifact>,
  { repository, tags, reference, filters }: ListedArtifact,
  call: CallOptions,
  mustExist = false,
): Promise<ListEntry | undefined> {
  try {
    const artifact = await load();
    if (artifact.kitfile === undefined && !mustExist) return undefined;
    if (filters.length > 0 && !(await import('./filter.ts')).matchesKitfile(filters, artifact.kitfile)) return undefined;
    return { repository, tags, digest: artifact.descriptor.digest, ...summary(artifact) };
  } catch (error) {
    if (mustExist || !(error instanceof KitError) || OUT_OF_REACH.has(error.code)) throw error;
    if (error.code !== 'UNSUPPORTED')
      call.onEvent?.({
        type: 'warning',
        code: error.code,
        message: `${repository}:${tags.join(',')} (${reference}) is left out: ${error.message}`,
      });
    return undefined;
  }
}

export function summary({ kitfile, manifest, format }: LoadedArtifact): ListSummary {
  const size = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
  return { name: kitfile?.package.name || undefined, author: kitfile?.package.authors?.[0], size, format };
}
