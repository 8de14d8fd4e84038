import { KitError } from '../errors.ts';
import type { Index } from '../oci/manifest.ts';
import { checkLayoutMarker, parseLayoutIndex } from './layout-index.ts';

/** The members of an archive that are read whole, and how large they may be. */
const SMALL_MEMBERS = { 'oci-layout': 4096, 'index.json': 64 * 1024 * 1024 } as const;

export type SmallMember = keyof typeof SMALL_MEMBERS;

export function isSmallMember(name: string): name is SmallMember {
  return name in SMALL_MEMBERS;
}

/** The member, if it is there and no larger than it may be. @throws KitError STORE_INVALID */
export function checkSmallMember<T extends { readonly size: number }>(archive: string, name: SmallMember, member: T | undefined): T {
  const limit = SMALL_MEMBERS[name];
  if (member !== undefined && member.size <= limit) return member;
  const why = member === undefined ? `it has no ${name}` : `its ${name} has ${member.size} bytes, the limit is ${limit}`;
  throw new KitError('STORE_INVALID', `${archive} is not an OCI archive: ${why}`, {
    hint: 'an archive of `docker save` before version 25 is converted by `skopeo copy docker-archive:OLD.tar oci-archive:NEW.tar:NAME`',
  });
}

/** @throws KitError STORE_INVALID */
export function archiveIndex(archive: string, members: Readonly<Record<SmallMember, Buffer>>): Index {
  checkLayoutMarker(members['oci-layout'].toString('utf8'), `${archive}: oci-layout`);
  return parseLayoutIndex(members['index.json'], `${archive}: index.json`);
}
