import type { Manifest } from '../oci/manifest.ts';
import { generic } from './generic.ts';
import { modelkit } from './modelkit.ts';
import { modelpack } from './modelpack.ts';
import type { Format } from './types.ts';

/** In order of preference: the first that knows a manifest reads it. */
const FORMATS: readonly Format[] = [modelkit, modelpack];

/** The format of a manifest; any other artifact is read as plain files. */
export function formatOf(manifest: Manifest): Format {
  return FORMATS.find((format) => format.detect(manifest)) ?? generic;
}
