import { sortedMaps } from '../oci/json.ts';
import type { Dataset, Kitfile, Model, Package, Role } from './types.ts';

/** What a config blob says about the layer of an entry. Digests; `diffId` is the one of the uncompressed layer. */
export interface LayerInfo {
  readonly digest: string;
  readonly diffId: string | undefined;
}

export type Fields = Record<string, unknown>;

/**
 * The fields of a Kitfile in the order in which kit writes them, without empty ones; `parameters` are Maps in byte order of
 * their keys. `stringifyLikeGo` of it is a config blob.
 * @param layerInfo for a config: the layer of an entry (`index` counts within its list, 0 for the model), written after its own fields;
 *   what is known of content that stays elsewhere is written, too
 */
export function kitfileFields(kitfile: Kitfile, layerInfo?: (role: Role, index: number) => LayerInfo | undefined): Fields {
  const list = <T>(role: Role, items: readonly T[] | undefined, fields: (item: T) => Fields): Fields[] | undefined =>
    items?.map((item, index) => ({ ...fields(item), ...layerFields(layerInfo?.(role, index)) }));
  const { model } = kitfile;
  return {
    manifestVersion: kitfile.manifestVersion,
    package: packageFields(kitfile.package),
    ...present({
      model: model && {
        ...present({
          name: model.name,
          path: model.path,
          ...remoteFields(model, layerInfo !== undefined),
          license: model.license,
          framework: model.framework,
          format: model.format,
          version: model.version,
          description: model.description,
          parts: list('modelpart', model.parts, ({ name, path, license, type }) => present({ name, path, license, type })),
        }),
        ...parameterFields(model),
        ...layerFields(layerInfo?.('model', 0)),
      },
      code: list('code', kitfile.code, ({ path, description, license }) => present({ path, description, license })),
      datasets: list('dataset', kitfile.datasets, (dataset) => ({
        ...present({
          name: dataset.name,
          path: dataset.path,
          ...remoteFields(dataset, layerInfo !== undefined),
          description: dataset.description,
          license: dataset.license,
        }),
        ...parameterFields(dataset),
      })),
      docs: list('docs', kitfile.docs, ({ path, description }) => ({ path, ...present({ description }) })),
      prompts: list('prompt', kitfile.prompts, ({ name, path, description }) => present({ name, path, description })),
      mcpServers: list('mcpserver', kitfile.mcpServers, ({ name, path, description }) => present({ name, path, description })),
    }),
  };
}

function remoteFields({ remotePath, remoteHash, remoteRevision, remoteFiles }: Model | Dataset, isConfig: boolean): Fields {
  return { remotePath, remoteHash, ...(isConfig && { remoteRevision, remoteFiles }) };
}

function packageFields({ name, version, description, license, authors }: Package): Fields {
  return present({ name, version, description, license, authors });
}

/** Go's omitempty of an interface: only null is empty, `{}`, `[]`, 0 and false are values. */
function parameterFields({ parameters }: { readonly parameters?: Parameters<typeof sortedMaps>[0] }): Fields {
  return parameters === undefined || parameters === null ? {} : { parameters: sortedMaps(parameters) };
}

function layerFields(info: LayerInfo | undefined): Fields {
  return info === undefined ? {} : present({ digest: info.digest, diffId: info.diffId });
}

/** Go's omitempty: without empty strings, empty lists and what is absent. Objects stay, also empty ones. */
function present(fields: Fields): Fields {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0)),
  );
}
