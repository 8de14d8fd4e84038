import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CallOptions } from '../../events.ts';
import { formatLocation, type Location, parseLocation, parseReference } from '../../oci/reference.ts';
import { isMissing } from '../../registry/toml-file.ts';
import type { Admit } from '../artifact/admission.ts';
import type { ConfiguredPolicy } from '../configuration.ts';
import type { Kit } from '../kit.ts';

/** Every policy that the configuration names. @throws KitError CONFIG_INVALID */
export async function configuredPolicies(kit: Kit): Promise<readonly ConfiguredPolicy[]> {
  // most have none, and what is done in local storage need not read it for anything else
  if (!kit.env['KIT_CONFIG'] && !(await isThere(join(kit.home, 'config.toml')))) return [];
  const { readPolicies } = await import('../configuration.ts');
  return await readPolicies(kit.home, kit.env);
}

/** Those that apply to an artifact: all whose patterns match, not only the first. */
export async function policiesFor(kit: Kit, location: Location): Promise<readonly ConfiguredPolicy[]> {
  const all = await configuredPolicies(kit);
  if (all.length === 0) return [];
  const [{ canonicalName, concernsRepository }, { withTimeLimit }] = await Promise.all([
    import('../../policy/pattern.ts'),
    import('../../time-limit.ts'),
  ]);
  const named = location.type === 'reference' ? location.reference : inLayout(location.reference);
  // a bare digest is in any repository of local storage
  if (named?.repository === '') return all;
  const name = named === undefined ? '' : canonicalName(named.registry, named.repository);
  let found: readonly ConfiguredPolicy[] = [];
  const work = (): void => {
    found = all.filter(({ repositories }) => repositories.some((pattern) => concernsRepository(pattern, name)));
  };
  // base ModelKits are named by whoever packed what is based on them
  withTimeLimit(work, 'CONFIG_INVALID', () => `a pattern of repositories of ${all[0]?.from ?? ''} for ${name}`);
  return found;
}

function inLayout(reference: string | undefined): ReturnType<typeof parseReference> | undefined {
  return reference?.includes('/') === true ? parseReference(reference) : undefined;
}

/**
 * What admits artifacts: whoever calls, and the policies of the configuration, which apply to where an artifact comes from and to where
 * it goes. Undefined where nobody asks for anything. @throws KitError CONFIG_INVALID | POLICY_INVALID
 */
export async function admission(kit: Kit, asked: Admit | undefined, destination?: Location): Promise<Admit | undefined> {
  if ((await configuredPolicies(kit)).length === 0) return asked;
  const { admitPolicies } = await import('./admit-policies.ts');
  const admitted = new Set<string>();
  return async (source, manifest, call: CallOptions) => {
    // what was judged in this run is not judged once more: its digest stands for it
    const key = `${source.name} ${manifest.digest}`;
    if (admitted.has(key)) return;
    await asked?.(source, manifest, call);
    const from = await policiesFor(kit, parseLocation(source.name));
    const to =
      destination === undefined ? [] : (await policiesFor(kit, destination)).filter(({ file }) => !from.some((one) => one.file === file));
    await admitPolicies(kit, from)(source, manifest, call);
    if (destination !== undefined) await admitPolicies(kit, to, { name: formatLocation(destination) })(source, manifest, call);
    admitted.add(key);
  };
}

/** What cannot be looked at may be there: whoever reads it says why not. */
async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    (error: unknown) => !isMissing(error),
  );
}
