import { KitError } from '../errors.ts';
import { isPrivateHost } from './address.ts';
import type { Endpoint } from './endpoint.ts';
import { redactUrl } from './redact.ts';

/**
 * The URL that an upload continues at. It may be relative, and may lie on another origin (which then gets no
 * credentials). A public registry cannot send an upload to a private address, nor an https one to plain http.
 * @throws KitError REGISTRY_ERROR
 */
export function uploadLocation(location: string | undefined, requested: URL, endpoint: Endpoint): URL {
  if (location === undefined) throw refused(endpoint, 'names no upload location');
  const url = URL.parse(location, requested.href);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
    throw refused(endpoint, 'names an upload location that is not an http URL');
  }
  if (endpoint.isSecure && url.protocol === 'http:') {
    throw refused(
      endpoint,
      `names an upload location without TLS (${redactUrl(url)})`,
      'the registry or a proxy before it has a wrong external URL',
    );
  }
  if (leadsInside(url, endpoint)) {
    throw refused(endpoint, `names an upload location on a private address (${redactUrl(url)})`);
  }
  url.hash = '';
  return url;
}

/** True where a public registry names a private address: it has no business with what this machine alone can reach. */
export function leadsInside(url: URL, endpoint: Endpoint): boolean {
  return url.origin !== endpoint.origin && isPrivateHost(url.hostname) && !isPrivateHost(endpoint.hostname);
}

/** Appends as text: rewriting the query would break signed URLs. */
export function withQuery(url: URL, query: string): URL {
  const extended = new URL(url);
  extended.search = url.search === '' ? query : `${url.search}&${query}`;
  return extended;
}

function refused(endpoint: Endpoint, why: string, hint?: string): KitError {
  return new KitError('REGISTRY_ERROR', `${endpoint.registry}: the registry ${why}`, hint === undefined ? {} : { hint });
}
