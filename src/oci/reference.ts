import { KitError } from '../errors.ts';
import { type Digest, isDigest } from './digest.ts';

/** `[registry/]repository[:tag[,tag...]][@digest]`. Without a registry the name is local to the store. */
export interface Reference {
  readonly registry: string | undefined;
  /** Empty only for a bare digest, which names content in any repository of the store. */
  readonly repository: string;
  /** As written, without duplicates; empty when only a digest (or nothing) was given. */
  readonly tags: readonly string[];
  readonly digest: Digest | undefined;
}

/** Where an artifact lives: a name in the store or a registry, or an image layout in a folder or tar file. */
export type Location = (
  | { readonly type: 'reference'; readonly reference: Reference }
  | { readonly type: 'layout'; readonly path: string; readonly reference: string | undefined }
  | { readonly type: 'archive'; readonly path: string; readonly reference: string | undefined }
) & { readonly chosenFrom?: ChosenFrom };

/** The index, in the same place, that an artifact was chosen from by its labels. */
export interface ChosenFrom {
  readonly digest: Digest;
  /** As the user wrote it. */
  readonly name: string;
}

const TAG = /^\w[\w.-]{0,127}$/;
// distribution/reference grammar: path components of lower-case letters and digits joined by . _ __ or dashes
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const REGISTRY = /^(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::[0-9]{1,5})?$/;
const SCHEME = /^(oci|oci-archive):(.+)$/s;

/** @throws KitError REFERENCE_INVALID */
export function parseReference(text: string): Reference {
  if (isDigest(text)) return { registry: undefined, repository: '', tags: [], digest: text };
  if (/^[a-z]+:\/\//i.test(text)) {
    throw invalid(text, 'it must not start with a scheme', `write \`${text.replace(/^[a-z]+:\/\//i, '')}\``);
  }
  const at = text.indexOf('@');
  const digest = at === -1 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest))
    throw invalid(text, `\`${digest}\` is not a digest`, 'a digest is `sha256:` and 64 hexadecimal digits');
  const named = at === -1 ? text : text.slice(0, at);

  const slash = named.indexOf('/');
  const first = slash === -1 ? '' : named.slice(0, slash);
  const hasRegistry = first === 'localhost' || /[.:[]/.test(first);
  const registry = hasRegistry ? first : undefined;
  if (registry !== undefined && !REGISTRY.test(registry))
    throw invalid(text, `\`${registry}\` is not a registry host`, 'a registry is HOST or HOST:PORT');

  const rest = hasRegistry ? named.slice(slash + 1) : named;
  const colon = rest.indexOf(':');
  const repository = colon === -1 ? rest : rest.slice(0, colon);
  const tags = colon === -1 ? [] : [...new Set(rest.slice(colon + 1).split(','))];
  checkRepository(text, repository);
  for (const tag of tags) {
    if (!TAG.test(tag))
      throw invalid(
        text,
        `\`${tag}\` is not a tag`,
        'a tag has up to 128 letters, digits, `_`, `.` and `-`, and starts with a letter, digit or `_`',
      );
  }
  return { registry, repository, tags, digest };
}

function checkRepository(text: string, repository: string): void {
  if (text === '')
    throw new KitError('REFERENCE_INVALID', 'the reference is empty', {
      hint: 'it is `[registry/]repository[:tag][@digest]`: is a variable not set?',
    });
  if (repository.length > 0 && repository.length <= 255 && REPOSITORY.test(repository)) return;
  if (repository.toLowerCase() !== repository && REPOSITORY.test(repository.toLowerCase())) {
    throw invalid(text, `repository (${repository}) name must be lowercase`, `write \`${repository.toLowerCase()}\``);
  }
  throw invalid(text, `repository (${repository}) must be words of lower-case letters and digits, joined by \`.\`, \`_\`, \`-\` and \`/\``);
}

function invalid(text: string, why: string, hint = 'a reference is `[registry/]repository[:tag][@digest]`'): KitError {
  return new KitError('REFERENCE_INVALID', `invalid reference \`${text}\`: ${why}`, { hint });
}

/** `oci:DIR[:tag]`, `oci-archive:FILE[:tag]`, or a reference. @throws KitError REFERENCE_INVALID */
export function parseLocation(text: string): Location {
  const [, scheme, rest] = SCHEME.exec(text) ?? [];
  // a lone name such as `oci:v1` is still a path: the scheme wins, as in skopeo
  if (scheme === undefined || rest === undefined) return { type: 'reference', reference: parseReference(text) };
  // as Helm, Flux and KServe name a registry: here it would be a folder at the root of the file system
  if (/^\/\/[^/]/.test(rest))
    throw invalid(text, '`//` names no folder', `write \`${rest.slice(2)}\` for a registry, \`${scheme}:DIR\` for a folder`);
  const type = scheme === 'oci' ? 'layout' : 'archive';
  const digestAt = rest.lastIndexOf('@');
  if (digestAt > 0 && isDigest(rest.slice(digestAt + 1)))
    return { type, path: rest.slice(0, digestAt), reference: rest.slice(digestAt + 1) };
  const named = namedIn(rest);
  if (named !== undefined) return { type, ...named };
  const colon = rest.lastIndexOf(':');
  const tag = rest.slice(colon + 1);
  if (colon > 0 && tag.includes(',') && tag.split(',').every((one) => TAG.test(one)))
    throw invalid(text, 'a layout or archive takes one tag at a time', `write \`${scheme}:${rest.slice(0, colon)}:${tag.split(',')[0]}\``);
  if (colon > 0 && TAG.test(tag)) return { type, path: rest.slice(0, colon), reference: tag };
  return { type, path: rest, reference: undefined };
}

/** `PATH:REGISTRY/REPOSITORY:TAG`: several artifacts of one archive or layout have full names. A path that has a colon itself is no such thing. */
function namedIn(text: string): { path: string; reference: string } | undefined {
  // the colon of a Windows drive
  const colon = text.indexOf(':', /^[A-Za-z]:[\\/]/.test(text) ? 2 : 0);
  const reference = text.slice(colon + 1);
  if (colon < 1 || !/^[^/:]+(?::\d+)?\/.+:[\w.-]+$/.test(reference)) return undefined;
  try {
    const { registry, tags } = parseReference(reference);
    return registry === undefined || tags.length !== 1 ? undefined : { path: text.slice(0, colon), reference };
  } catch {
    return undefined;
  }
}

/** `registry/repository`, or the bare repository for local names. `localhost/x` and `x` are one name in the store. */
export function repositoryName(reference: Reference): string {
  return reference.registry === undefined ? reference.repository : `${reference.registry}/${reference.repository}`;
}

/** What to resolve: the digest if there is one, else the first tag, else `latest`. */
export function referenceTarget(reference: Reference): string {
  return reference.digest ?? reference.tags[0] ?? 'latest';
}

/** The reference as a user would write it. */
export function formatReference(reference: Reference): string {
  const name = repositoryName(reference);
  const tags = reference.tags.length > 0 ? `:${reference.tags.join(',')}` : '';
  if (name === '') return reference.digest ?? '';
  return `${name}${tags}${reference.digest === undefined ? '' : `@${reference.digest}`}`;
}

export function formatLocation(location: Location): string {
  if (location.type === 'reference') return formatReference(location.reference);
  const scheme = location.type === 'layout' ? 'oci' : 'oci-archive';
  const { path, reference } = location;
  if (reference === undefined) return `${scheme}:${path}`;
  return `${scheme}:${path}${isDigest(reference) ? '@' : ':'}${reference}`;
}
