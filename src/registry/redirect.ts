import { KitError } from '../errors.ts';
import { redactUrl } from './redact.ts';
import type { Method } from './exchange.ts';
import type { TransportResponse } from './transport.ts';

const MAX_HOPS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export function isRedirect({ status }: Pick<TransportResponse, 'status'>): boolean {
  return REDIRECTS.has(status);
}

/** A redirect on its way. */
export interface Redirect {
  readonly method: Method;
  /** What was asked for, as messages name it. */
  readonly subject: string;
  readonly from: URL;
  readonly response: Pick<TransportResponse, 'status' | 'header'>;
  /** What was asked so far. */
  readonly visited: ReadonlySet<string>;
  /** True for an address within a network that who sends us there has no business with. */
  readonly leadsInside: (url: URL) => boolean;
}

/** Where a redirect leads. @throws KitError REGISTRY_ERROR where it is not followed */
export function nextHop({ method, subject, from, response, visited, leadsInside }: Redirect): URL {
  const location = response.header('location');
  const refuse = (why: string): KitError =>
    new KitError('REGISTRY_ERROR', `${subject}: ${why} (${method} ${redactUrl(from)}: ${response.status})`);
  const url = location === undefined ? null : URL.parse(location, from.href);
  if (url === null || !/^https?:$/.test(url.protocol)) throw refuse('a redirect leads nowhere');
  // 301 to 303 turn other methods into GET: only the body-less ones mean the same afterwards
  if (method !== 'GET' && method !== 'HEAD' && response.status < 307) throw refuse('a redirect would drop the request body');
  if (from.protocol === 'https:' && url.protocol === 'http:')
    throw refuse(`a redirect from https to http (${redactUrl(url)}) is not followed`);
  if (leadsInside(url)) throw refuse(`a redirect to a private address (${redactUrl(url)}) is not followed`);
  url.username = '';
  url.password = '';
  url.hash = '';
  if (visited.has(url.href)) throw refuse('redirects form a loop');
  if (visited.size > MAX_HOPS) throw refuse(`more than ${MAX_HOPS} redirects`);
  return url;
}
