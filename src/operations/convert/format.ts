import type { CallOptions } from '../../events.ts';
import { PACK_FORMATS, type PackFormatName } from '../../formats/registry.ts';
import type { Encoding, PackFormat } from '../../formats/types.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import { runAll } from '../../targets/run-all.ts';
import type { Target } from '../../targets/types.ts';
import { planMoved } from './assemble.ts';
import { foreignAnnotations, mergedFacts, statedFacts } from './losses.ts';
import { expectedEntry, type MovedEntry, moveEntry, type Mover } from './move.ts';
import { bringLayers, type Conversion, type NewLayer, putArtifact, type Written } from './output.ts';
import { frame, type FramedEntry } from './plan.ts';
import { PLAIN_TAR } from './tar.ts';
import type { Kit } from '../kit.ts';
import { requireManifestSize } from '../pack/pack.ts';
import { factsOfLayers } from '../sbom/weight-facts.ts';

/** Returns what writes the artifact, when the format takes it. @throws KitError UNSUPPORTED | LIMIT_EXCEEDED */
export async function prepareFormat(
  conversion: Conversion,
  to: PackFormatName,
  wanted: Encoding | undefined,
): Promise<(target: Target) => Promise<Written>> {
  const framed = conversion.content.entries.map((one): FramedEntry => ({ ...one, framing: frame(one, to, wanted) }));
  await preflight(conversion, PACK_FORMATS[to], framed);
  return async (target) => await write(conversion, to, framed, target);
}

/** What the format refuses is refused before a byte moves, unless compressed layers hide the names of files. */
async function preflight({ content, losses, call }: Conversion, format: PackFormat, entries: readonly FramedEntry[]): Promise<void> {
  const expected: MovedEntry[] = [];
  for (const entry of entries) {
    const one = await expectedEntry(entry, call);
    if (one === undefined) return;
    expected.push(one);
  }
  const layers = planMoved(format, expected, losses.note);
  requireManifestSize(format.assemble(content.kitfile, layers, {}).manifest, layers.length);
  losses.check();
}

async function write(conversion: Conversion, to: PackFormatName, entries: readonly FramedEntry[], target: Target): Promise<Written> {
  const { kit, artifact, content, losses, call } = conversion;
  const format: PackFormat = PACK_FORMATS[to];
  const moved = await moveAll(kit, entries, { target, shape: PLAIN_TAR, call });
  const layers = planMoved(format, moved, losses.note);
  losses.check();
  await bringLayers(target, conversion, layers);
  const facts = to === 'modelkit' ? undefined : mergedFacts(await measuredFacts(target, layers, call), statedFacts(artifact));
  const created = artifact.manifest.annotations?.[ANNOTATION.created];
  const made = format.assemble(content.kitfile, layers, { created, annotations: foreignAnnotations(artifact), facts });
  return { manifest: await putArtifact(target, made, layers.length, call), layers };
}

async function moveAll(kit: Kit, entries: readonly FramedEntry[], mover: Mover): Promise<MovedEntry[]> {
  const moved: MovedEntry[] = [];
  const sizes = entries.filter(({ framing }) => framing !== 'keep').flatMap(({ items }) => items.map(({ layer }) => layer.descriptor.size));
  mover.call.onEvent?.({ type: 'plan', blobs: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) });
  await runAll([...entries.entries()], kit.concurrency, mover.call.signal, async ([index, entry], signal) => {
    moved[index] = await moveEntry(entry, { ...mover, call: { ...mover.call, signal } });
  });
  return moved;
}

async function measuredFacts(target: Target, layers: readonly NewLayer[], call: CallOptions): ReturnType<typeof factsOfLayers> {
  const weights = layers.filter(({ role, descriptor, diffId }) => {
    return (role === 'model' || role === 'modelpart') && descriptor.digest === diffId;
  });
  return await factsOfLayers(
    target,
    weights.map(({ path, descriptor }) => ({ path, descriptor })),
    call,
  );
}
