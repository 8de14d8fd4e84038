declare const OCIKIT_VERSION: string | undefined;
declare const OCIKIT_COMMIT: string | undefined;
declare const OCIKIT_BUILT: string | undefined;

export interface VersionResult {
  readonly version: string;
  readonly commit: string;
  readonly built: string;
  readonly node: string;
}

/** The build fills these in; run from source they are unknown. */
export function version(): VersionResult {
  return {
    version: typeof OCIKIT_VERSION === 'string' ? OCIKIT_VERSION : 'unknown',
    commit: typeof OCIKIT_COMMIT === 'string' ? OCIKIT_COMMIT : 'unknown',
    built: typeof OCIKIT_BUILT === 'string' ? OCIKIT_BUILT : 'unknown',
    node: process.version,
  };
}
