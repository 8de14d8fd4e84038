import { type Kitfile, kitfileEntries } from '../../kitfile/types.ts';
import { type Filter, wantsKitfile, wantsLayer } from '../artifact/filter.ts';

/** True when a filter wants something that the Kitfile names, which need not be a layer of its own. */
export function matchesKitfile(filters: readonly Filter[], kitfile: Kitfile | undefined): boolean {
  if (kitfile === undefined) return false;
  return wantsKitfile(filters) || kitfileEntries(kitfile).some(({ role, name, path = '' }) => wantsLayer(filters, { role, name, path }));
}
