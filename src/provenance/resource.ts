import { type Digest, digestAlgorithm, digestHex } from '../oci/digest.ts';
import { plainText } from '../registry/redact.ts';

/** ResourceDescriptor of in-toto (https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md). */
export interface Resource {
  readonly name?: string;
  readonly uri?: string;
  readonly digest?: Readonly<Record<string, string>>;
  readonly mediaType?: string;
  readonly annotations?: Readonly<Record<string, unknown>>;
}

export function digestSet(digest: Digest): Readonly<Record<string, string>> {
  return { [digestAlgorithm(digest)]: digestHex(digest) };
}

/** As `digestSet`, for text that may be no digest. */
export function digestSetOf(text: string | undefined): Readonly<Record<string, string>> | undefined {
  const [, algorithm, hex] = /^(sha256|sha384|sha512):([0-9a-f]{64,128})$/.exec(text ?? '') ?? [];
  return algorithm === undefined || hex === undefined ? undefined : { [algorithm]: hex };
}

/**
 * As SPDX writes a git repository: `git+https://host/path`, with `@ref` where one is known; without user, password or query. Undefined
 * for a path of this machine.
 */
export function gitUri(remote: string | undefined, ref?: string): string | undefined {
  if (remote === undefined) return undefined;
  const [, host, path] = /^(?:[\w.-]+@)?([\w.-]+):(?!\/\/)(.+)$/.exec(remote) ?? [];
  const url = URL.parse(host === undefined ? remote : `ssh://${host}/${path?.replace(/^\//, '')}`);
  if (url === null || !['https:', 'http:', 'ssh:', 'git:'].includes(url.protocol)) return undefined;
  return plainText(`git+${url.protocol}//${url.host}${url.pathname}${ref === undefined ? '' : `@${ref}`}`);
}
