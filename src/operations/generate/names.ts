import { KitError } from '../../errors.ts';
import { parseReference } from '../../oci/reference.ts';

const LABEL = /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** A name for objects about a repository: its last part, as every kind of object takes names (RFC 1035 labels). */
export function deriveName(repository: string): string {
  const last = repository.slice(repository.lastIndexOf('/') + 1).toLowerCase();
  const words = last.replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-+|-+$/g, '');
  const name = /^[a-z]/.test(words) ? words : `model-${words}`;
  return name.slice(0, 63).replace(/-+$/, '');
}

/** @throws KitError USAGE */
export function checkName(name: string): string {
  return check(LABEL, '--name', name, 'a name has up to 63 lower-case letters, digits and `-`, and begins with a letter');
}

/** @throws KitError USAGE; `flag` names the option that `name` comes from */
export function checkNamespace(flag: string, name: string): string {
  return check(NAMESPACE, flag, name, 'a namespace has up to 63 lower-case letters, digits and `-`');
}

/** The name of a Secret, a ServiceAccount or the like. @throws KitError USAGE */
export function checkObjectName(flag: string, name: string): string {
  return check(SUBDOMAIN, flag, name, 'such a name has lower-case letters, digits, `-` and `.`');
}

/** A directory in a container. @throws KitError USAGE */
export function checkMountPath(flag: string, path: string): string {
  return check(/^\/(?!.*(?:^|\/)\.\.(?:\/|$))[^\p{Cc}:]+$/u, flag, path, 'write an absolute path without `..` and `:`');
}

/** A path inside what is mounted or fetched. @throws KitError USAGE */
export function checkRelativePath(flag: string, path: string): string {
  return check(/^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$))[^\p{Cc}]+$/u, flag, path, 'write a relative path without `..`');
}

/** @throws KitError USAGE | REFERENCE_INVALID */
export function checkImage(flag: string, image: string): string {
  const { tags, repository } = parseReference(image);
  if (repository === '' || tags.length > 1)
    throw new KitError('USAGE', `\`${image}\` for ${flag} is no image`, { hint: 'write REPOSITORY:TAG or REPOSITORY@DIGEST' });
  return image;
}

/** Free text on one line, such as an identity or a filter. @throws KitError USAGE */
export function checkLine(flag: string, text: string): string {
  return check(/^[^\p{Cc}\u2028\u2029]{1,1024}$/u, flag, text, 'write one line');
}

/** A duration as Go writes it. @throws KitError USAGE */
export function checkDuration(flag: string, text: string): string {
  return check(/^(?:\d{1,9}(?:\.\d{1,9})?(?:ms|s|m|h))+$/, flag, text, 'write it as 10m or 1h30m');
}

function check(pattern: RegExp, flag: string, text: string, hint: string): string {
  if (pattern.test(text)) return text;
  throw new KitError('USAGE', `invalid value ${JSON.stringify(text)} for ${flag}`, { hint });
}
