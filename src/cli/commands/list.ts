import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import type { Filter } from '../../operations/artifact/filter.ts';
import type { ListEntry } from '../../operations/list/entry.ts';
import type { Kit } from '../../operations/kit.ts';
import type { CallOptions } from '../../events.ts';
import { stringifyLikeGo } from '../../oci/json.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addNetworkOptions, collect, type KitFlags } from '../options/network.ts';
import { parseTemplate, type Template } from '../render/template.ts';
import { formatBytes, formatTable } from '../render/text.ts';

type Flags = KitFlags & { readonly format: string; readonly filter?: readonly string[] };

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    command
      .argument('[repository]', 'a repository in a registry, or oci:DIR (default: local storage)')
      .option('--format <format>', 'output: table, json, or a Go template over .Repo .Digest .Tags .ModelName .Size .Author', 'table')
      .option('-f, --filter <filter>', 'only those with what TYPE[,TYPE][:NAME[,NAME]] names, as in `kit unpack` (repeatable)', collect),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (repository: string | undefined, flags: Flags) => run(repository, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit list
  kit list ghcr.io/team/mymodel
  kit list --filter model:llama --filter datasets
  kit list --format json | jq -r '.[].digest'
  kit list --format '{{ .Repo }}:{{ index .Tags 0 }}'`;

async function run(repository: string | undefined, flags: Flags, context: CliContext): Promise<void> {
  // a template that is wrong should not cost a trip to the registry
  const template = ['table', 'json', ''].includes(flags.format) ? undefined : parseTemplate(flags.format);
  const kit = context.kit(flags);
  const entries = await listed(kit, repository, await readFilters(flags), context.call);
  context.result('text', undefined, print(entries, flags.format, template));
}

async function listed(kit: Kit, repository: string | undefined, filters: readonly Filter[], call: CallOptions): Promise<ListEntry[]> {
  // each loads only what it needs: the store is listed at a glance
  if (repository === undefined) return await (await import('../../operations/list/local.ts')).listLocal(kit, call, filters);
  return await (await import('../../operations/list/location.ts')).listLocation(kit, parseLocation(repository), call, filters);
}

/** @throws KitError FILTER_INVALID | USAGE */
async function readFilters({ filter: texts }: Flags): Promise<Filter[]> {
  if (texts === undefined) return [];
  const { parseFilter } = await import('../../operations/artifact/filter.ts');
  const filters = texts.map(parseFilter);
  const files = filters.find(({ types }) => types.includes('path'));
  if (files !== undefined) {
    throw new KitError('USAGE', `the filter \`${files.text}\` is over files, which a list does not look at`, {
      hint: '`kit files` lists the files of one ModelKit',
    });
  }
  return filters;
}

function print(entries: readonly ListEntry[], format: string, template: Template | undefined): string[] {
  if (format === 'json') return [stringifyLikeGo(entries.map(toJson), 2)];
  if (template !== undefined) return entries.map((entry) => template(toTemplateFields(entry)));
  const rows = entries.flatMap((entry) =>
    (entry.tags.length === 0 ? ['<none>'] : entry.tags).map((tag) => [
      entry.repository,
      tag,
      entry.author ?? '<none>',
      entry.name ?? '<none>',
      formatBytes(entry.size),
      entry.digest,
    ]),
  );
  return formatTable([['REPOSITORY', 'TAG', 'MAINTAINER', 'NAME', 'SIZE', 'DIGEST'], ...rows]);
}

function toJson({ repository, digest, tags, name, size, author }: ListEntry): Record<string, unknown> {
  return { repo: repository, digest, tags, modelName: name ?? '<none>', size: formatBytes(size), author: author ?? '<none>' };
}

function toTemplateFields({ repository, digest, tags, name, size, author }: ListEntry): Record<string, string | readonly string[]> {
  return { Repo: repository, Digest: digest, Tags: tags, ModelName: name ?? '<none>', Size: formatBytes(size), Author: author ?? '<none>' };
}
