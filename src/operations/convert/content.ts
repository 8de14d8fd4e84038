import { KitError } from '../../errors.ts';
import type { CallOptions } from '../../events.ts';
import type { PackFormatName } from '../../formats/registry.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import { baseReference } from '../artifact/base-modelkit.ts';
import { foreignAnnotations, lostAnnotations, lostFields } from './losses.ts';
import { type EntryLayers, layersByEntry, withEntriesFor } from './plan.ts';
import type { SourcedLayer } from '../artifact/layer-bytes.ts';
import type { LoadedArtifact } from '../artifact/load-artifact.ts';
import type { Source } from '../artifact/open-location.ts';

/** The formats that `kit convert` writes. */
export type ConvertFormat = PackFormatName | 'modelcar';

/** What becomes part of the new artifact. */
export interface Content {
  readonly kitfile: Kitfile;
  readonly entries: readonly EntryLayers[];
  /** What does not, as far as the manifest and the config tell. */
  readonly lost: readonly string[];
}

/** What there is to convert. @throws KitError UNSUPPORTED */
export function contentFor(artifact: LoadedArtifact, from: Source, to: ConvertFormat): Content {
  if (artifact.kitfile === undefined) {
    throw new KitError('UNSUPPORTED', `${from.name} is no model that is known: nothing says what its layers are`, {
      hint: '`kit inspect` shows what it is; `kit unpack` and `kit pack` make a ModelKit of it',
    });
  }
  const base = baseReference(artifact);
  if (base !== undefined && to !== 'modelkit') {
    throw new KitError('UNSUPPORTED', `the model of ${from.name} is the ModelKit ${base}, and only a ModelKit can refer to another one`, {
      hint: `convert ${base}, or unpack ${from.name} and pack it with its model`,
    });
  }
  // omlmd's metadata is written anew
  const items = artifact.layers.filter(({ role }) => role !== 'file').map((layer): SourcedLayer => ({ source: from, layer }));
  const { rest } = layersByEntry(artifact.kitfile, items);
  const kitfile = withEntriesFor(artifact.kitfile, rest);
  const { entries } = layersByEntry(kitfile, items);
  const foreign = lostAnnotations(foreignAnnotations(artifact), to);
  const lost = [...(artifact.format === to ? [] : lostFields(artifact)), ...foreign];
  if (to !== 'modelpack' || kitfile.mcpServers === undefined) return { kitfile, entries, lost };
  const { mcpServers, ...others } = kitfile;
  const servers = mcpServers.map(({ name, path }) => `MCP server ${name ?? path ?? ''}`);
  return { kitfile: others, entries: entries.filter(({ entry }) => entry.role !== 'mcpserver'), lost: [...lost, ...servers] };
}

/** What is lost on the way. */
export class Losses {
  readonly all: string[];
  readonly #strict: boolean;
  readonly #source: string;
  readonly #to: string;

  constructor(known: readonly string[], strict: boolean, source: string, to: string) {
    this.all = [...known];
    this.#strict = strict;
    this.#source = source;
    this.#to = to;
  }

  /** For what a format says while it plans; the same may be said twice. */
  readonly note = (_code: string, message: string): void => {
    if (!this.all.includes(message)) this.all.push(message);
  };

  /** @throws KitError UNSUPPORTED when nothing may be lost and something is */
  check(): void {
    if (!this.#strict || this.all.length === 0) return;
    throw new KitError('UNSUPPORTED', `${this.#to} cannot carry all of ${this.#source}:${this.all.map((loss) => `\n  ${loss}`).join('')}`, {
      hint: 'without `--strict` it is converted all the same',
    });
  }

  tell({ onEvent }: CallOptions): void {
    for (const message of this.all) onEvent?.({ type: 'warning', code: 'NOT_CARRIED', message: `${this.#to} does not carry: ${message}` });
  }
}
