import type { CallOptions } from '../../events.ts';
import { HubClient } from '../../hub/hub-client.ts';
import { type HubReference, parseHubReference } from '../../hub/hub-reference.ts';
import { hubSettings } from '../../hub/hub-settings.ts';
import type { WebHttp } from '../../hub/web-http.ts';
import { ANNOTATION } from '../../oci/media-types.ts';
import { selectFiles } from './filter.ts';
import type { ImportedCard } from './source.ts';
import type { ImportLocation, ImportSource } from './source.ts';
import { ImportTree } from './tree.ts';
import type { Kit } from '../kit.ts';

/** Looks up a revision of a model or dataset on the Hugging Face hub: its files, and what its card says. Fetches no file. */
export async function openHubSource(kit: Kit, http: WebHttp, options: ImportLocation, call: CallOptions): Promise<ImportSource> {
  const settings = await hubSettings(kit.env, options.token);
  const reference = parseHubReference(options.source, settings.endpoint);
  const client = new HubClient(http, settings);
  const revision = await client.revision(reference, options.revision ?? reference.revision ?? 'main', call);
  const files = selectFiles(await client.files(revision, call), options, reference.path, reference.id);
  const copies = files.filter(({ copy }) => copy !== undefined).length;
  if (copies > 0) call.onEvent?.({ type: 'note', message: `${copies} of ${files.length} files are in the cache at ${settings.cache}` });
  return {
    name: reference.id,
    tree: new ImportTree(files),
    card: cardOf(reference, revision),
    annotations: { [ANNOTATION.source]: revision.page, [ANNOTATION.revision]: revision.sha },
    revision: revision.sha,
    uri: revision.page,
    below: reference.path,
  };
}

function cardOf(
  { type, id }: HubReference,
  { license, library, title }: Pick<ImportedCard, 'license' | 'library' | 'title'>,
): ImportedCard {
  return { type, id, license, library, title };
}
