import { expect, test } from 'vitest';
import { formatLocation, parseLocation } from '../../../src/oci/reference.ts';
import { isReferrersTag } from '../../../src/oci/referrers-tag.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

test.each([
  ['oci:dir', 'layout', 'dir', undefined],
  ['oci:dir:v1', 'layout', 'dir', 'v1'],
  [`oci:dir@${DIGEST}`, 'layout', 'dir', DIGEST],
  ['oci-archive:a/b.tar:ghcr.io/team/model:v1', 'archive', 'a/b.tar', 'ghcr.io/team/model:v1'],
  ['oci-archive:b.tar:localhost:5000/model:v1', 'archive', 'b.tar', 'localhost:5000/model:v1'],
  ['oci-archive:C:\\b.tar:localhost/model:v1', 'archive', 'C:\\b.tar', 'localhost/model:v1'],
  ['oci:C:\\dir:v1', 'layout', 'C:\\dir', 'v1'],
  // a path with a colon: what follows it is no full name
  ['oci:a:b/c:v1', 'layout', 'a:b/c', 'v1'],
  ['oci:/p:q/dir', 'layout', '/p:q/dir', undefined],
])('%s', (text, type, path, reference) => {
  const location = parseLocation(text);
  expect(location).toEqual({ type, path, reference });
  expect(formatLocation(location)).toBe(text);
});

test.each([
  // a folder at the root of the file system is not what is meant
  ['oci://ghcr.io/team/model:v1', 'write `ghcr.io/team/model:v1` for a registry, `oci:DIR` for a folder'],
  ['oci-archive://a/b.tar', 'write `a/b.tar` for a registry, `oci-archive:DIR` for a folder'],
  ['', 'it is `[registry/]repository[:tag][@digest]`: is a variable not set?'],
])('%s is no location', (text, hint) => {
  expect(() => parseLocation(text)).toThrow(expect.objectContaining({ code: 'REFERENCE_INVALID', hint }) as Error);
});

test.each([
  [`sha256-${'a'.repeat(64)}`, true],
  [`ghcr.io/team/model:sha256-${'a'.repeat(64)}.sig`, true],
  [`sha256-${'a'.repeat(63)}`, false],
  [`v1-sha256-${'a'.repeat(64)}`, false],
  [undefined, false],
])('%s is a tag for referrers: %s', (tag, expected) => {
  expect(isReferrersTag(tag)).toBe(expected);
});
