import { digestHex } from '../../oci/digest.ts';
import type { ImportResult } from './import.ts';
import { version } from '../version.ts';

/**
 * What an import was made of, as an in-toto statement with SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance). Not signed, and
 * without a time: the same import gives the same statement.
 */
export function importProvenance(
  { digest, reference, source, revision }: ImportResult,
  asked: { readonly source: string; readonly revision: string | undefined },
): unknown {
  const { source: name, revision: ref } = asked;
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: reference ?? digest, digest: { sha256: digestHex(digest) } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'pkg:npm/ocikit#import',
        externalParameters: { source: name, ...(ref !== undefined && { ref }) },
        resolvedDependencies: [{ uri: source, ...(revision !== undefined && { digest: { gitCommit: revision } }) }],
      },
      runDetails: { builder: { id: `pkg:npm/ocikit@${version().version}` } },
    },
  };
}
