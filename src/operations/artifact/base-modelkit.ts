import { isKitError, KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import { isModelKitReference } from '../../kitfile/layer-path.ts';
import { type Kitfile, kitfileEntries } from '../../kitfile/types.ts';
import { formatReference, parseReference, type Reference } from '../../oci/reference.ts';
import type { Kit } from '../kit.ts';
import { type LoadedArtifact, loadArtifact } from './load-artifact.ts';
import { type Lookup, openSource, type Source } from './open-location.ts';

/** As many ModelKits as kit follows. */
const MAX_CHAIN = 10;

/** A ModelKit that another one names as its model. */
export interface BaseModelKit {
  readonly reference: Reference;
  readonly source: Source;
  readonly artifact: LoadedArtifact;
}

/** The reference to the base ModelKit; undefined when the model is a layer of its own. */
export function baseReference(artifact: Pick<LoadedArtifact, 'kitfile' | 'layers'>): string | undefined {
  const path = artifact.kitfile?.model?.path;
  if (path === undefined || !isModelKitReference(path)) return undefined;
  // a file whose name looks like a reference was packed: it has a layer
  return artifact.layers.some((layer) => layer.role === 'model') ? undefined : path;
}

/**
 * The chain of base ModelKits below `first`, nearest first. `start` names what refers to it.
 * @throws KitError REFERENCE_CYCLE for a loop or more than ten links, REFERENCE_NOT_FOUND
 */
export async function resolveChain(
  kit: Kit,
  first: string | undefined,
  start: string,
  lookup: Lookup,
  call: CallOptions,
): Promise<BaseModelKit[]> {
  const chain: BaseModelKit[] = [];
  const names = [start];
  for (let next = first; next !== undefined;) {
    const reference = parseReference(next);
    const name = formatReference(reference);
    if (names.includes(name))
      throw new KitError(
        'REFERENCE_CYCLE',
        `found cycle in modelkit references: [${[...names.slice(names.indexOf(name)), name].join('=>')}]`,
      );
    names.push(name);
    if (chain.length === MAX_CHAIN)
      throw new KitError('REFERENCE_CYCLE', `reached maximum number of model references: [${names.join('=>')}]`);
    const base = await loadBase(kit, reference, lookup, call).catch((error: unknown) => {
      if (!isKitError(error, 'REFERENCE_NOT_FOUND', 'REFERENCE_INVALID')) throw error;
      const options = { cause: error, ...(error.hint !== undefined && { hint: error.hint }) };
      throw new KitError(error.code, `the model of ${names.at(-2)} is the ModelKit ${name}: ${error.message}`, options);
    });
    chain.push(base);
    next = baseReference(base.artifact);
  }
  return chain;
}

async function loadBase(kit: Kit, reference: Reference, lookup: Lookup, call: CallOptions): Promise<BaseModelKit> {
  const source = await openSource(kit, { type: 'reference', reference }, lookup, call);
  return { reference, source, artifact: await loadArtifact(source.target, source.reference, source.name, call) };
}

/** Every layer path of a Kitfile as written; a model that is a reference has none. */
export function layerPaths(kitfile: Kitfile | undefined, isReference: (path: string) => boolean): string[] {
  if (kitfile === undefined) return [];
  return kitfileEntries(kitfile).flatMap(({ path }) => (path === undefined || isReference(path) ? [] : [path]));
}
