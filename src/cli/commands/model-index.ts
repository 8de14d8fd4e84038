import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { labelPairs } from '../../formats/model-index.ts';
import { stringifyLikeGo } from '../../oci/json.ts';
import { parseLocation, parseReference } from '../../oci/reference.ts';
import { type IndexInfo, indexInfo, inspectIndex, listIndexes } from '../../operations/model-index/model-index.ts';
import {
  addToIndex,
  createIndex,
  type DeletedIndex,
  deleteIndex,
  deleteIndexes,
  removeFromIndex,
} from '../../operations/model-index/edit.ts';
import { pullIndex } from '../../operations/model-index/pull.ts';
import { pushIndex } from '../../operations/model-index/push.ts';
import { parseAnnotationEdits, parseLabelEdits } from '../../operations/model-index/variant-labels.ts';
import type { OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addGlobalOptions, oneOf } from '../options/global.ts';
import { addNetworkOptions, collect, type KitFlags } from '../options/network.ts';
import { singleLine } from '../render/plain-text.ts';
import { formatBytes, formatTable } from '../render/text.ts';

export function register(command: Command, context: OpenContext): void {
  command
    .argument('[command]')
    .usage('create | add | remove | list | info | inspect | push | pull | delete')
    // a name that is not known is told about first
    .allowExcessArguments()
    .allowUnknownOption()
    .addHelpText('after', EXAMPLES)
    .action((name: string | undefined) => {
      if (name === undefined) command.help();
      throw new KitError('USAGE', `unknown command \`index ${name ?? ''}\``, { hint: '`kit index --help` lists the commands' });
    });
  registerCreate(command, context);
  registerAdd(command, context);
  registerRemove(command, context);
  registerList(command, context);
  registerInfo(command, context);
  registerInspect(command, context);
  registerPush(command, context);
  registerPull(command, context);
  registerDelete(command, context);
}

const EXAMPLES = `
\`kit index COMMAND --help\` shows the options of a command.

Examples:
  kit index create ghcr.io/team/mymodel:all
  kit index add ghcr.io/team/mymodel:all ghcr.io/team/mymodel:q4_0 -l quantization=q4_0 -l vram=6GB
  kit index add ghcr.io/team/mymodel:all ghcr.io/team/mymodel:q8_0 --detect
  kit index info ghcr.io/team/mymodel:all
  kit index push ghcr.io/team/mymodel:all
  kit pull ghcr.io/team/mymodel:all --label quantization=q4_0
  kit unpack ghcr.io/team/mymodel:all --label quantization=q4_0 -d ./out`;

const INDEX = '[registry/]repository[:tag]';

function registerCreate(parent: Command, context: OpenContext): void {
  addFormatOption(addGlobalOptions(parent.command('create')).description('Make an empty index in local storage').argument('<index>', INDEX))
    .addHelpText('after', '\nExamples:\n  kit index create ghcr.io/team/mymodel:all')
    .action(async (index: string, flags: FormatFlag) => {
      const cli = await context();
      const result = await createIndex(cli.kit({}), parseReference(index), cli.call);
      cli.result(flags.format, result, [`Created index ${result.reference} (digest ${result.digest})`]);
    });
}

interface AddFlags extends FormatFlag, KitFlags {
  readonly remote?: boolean;
  readonly label?: readonly string[];
  readonly annotate?: readonly string[];
  readonly detect?: boolean;
}

function registerAdd(parent: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addGlobalOptions(parent.command('add'))
        .description('Add a ModelKit to an index, or change the labels of one that is in it')
        .argument('<index>', INDEX)
        .argument('<modelkit>', 'in the repository of the index, by tag or digest')
        .option('-r, --remote', 'look for the ModelKit in its registry, not in local storage')
        .option('-l, --label <label>', 'KEY=VALUE, KEY:=JSON for any JSON, or KEY- to take it away (repeatable)', collect)
        .option('--annotate <annotation>', 'an annotation of the entry: KEY=VALUE, or KEY- to take it away (repeatable)', collect)
        .option('--detect', 'labels from the headers of the weights: format, architecture, parameters, quantization'),
    ),
  )
    .addHelpText('after', ADD_EXAMPLES)
    .action(async (index: string, modelkit: string, flags: AddFlags) => {
      const labels = parseLabelEdits(flags.label ?? []);
      const annotations = parseAnnotationEdits(flags.annotate ?? []);
      const cli = await context();
      const args = {
        index: parseReference(index),
        modelkit: parseReference(modelkit),
        remote: flags.remote === true,
        labels,
        annotations,
        detect: flags.detect === true,
      };
      const result = await addToIndex(cli.kit(flags), args, cli.call);
      cli.result(flags.format, result, [`Added ${modelkit} to index ${result.reference} (digest ${result.digest})`]);
    });
}

const ADD_EXAMPLES = `
Examples:
  kit index add mymodel:all mymodel:q4_0 -l quantization=q4_0 -l vram=6GB
  kit index add mymodel:all mymodel:q4_0 -l 'gpus:=["sm_80","sm_90"]' -l vram-
  kit index add mymodel:all mymodel:q4_0 --annotate org.example.tested=true`;

function registerRemove(parent: Command, context: OpenContext): void {
  addFormatOption(
    addGlobalOptions(parent.command('remove'))
      .description('Take a ModelKit out of an index; the ModelKit stays')
      .argument('<index>', INDEX)
      .argument('<modelkit>', 'by tag or digest'),
  ).action(async (index: string, modelkit: string, flags: FormatFlag) => {
    const cli = await context();
    const result = await removeFromIndex(cli.kit({}), parseReference(index), parseReference(modelkit), cli.call);
    cli.result(flags.format, result, [`Removed ${modelkit} from index ${result.reference} (digest ${result.digest})`]);
  });
}

function addTableOption(command: Command): Command {
  return command.option(
    '--format <format>',
    'output: table, json',
    (value: string) => oneOf('--format', value, ['table', 'json']),
    'table',
  );
}

function registerList(parent: Command, context: OpenContext): void {
  addTableOption(addGlobalOptions(parent.command('list')).description('List the indexes in local storage')).action(
    async (flags: FormatFlag) => {
      const cli = await context();
      const listed = await listIndexes(cli.kit({}), cli.call);
      const data = listed.map(({ repository, digest, tags, variants }) => ({
        repo: repository,
        digest,
        tags,
        modelKits: variants ?? null,
      }));
      const rows = listed.flatMap(({ repository, digest, tags, variants }) =>
        (tags.length === 0 ? ['<none>'] : tags).map((tag) => [
          repository,
          tag,
          variants === undefined ? '<none>' : String(variants),
          digest,
        ]),
      );
      cli.result(flags.format, data, formatTable([['REPOSITORY', 'TAG', 'MODELKITS', 'DIGEST'], ...rows]));
    },
  );
}

type RemoteFlags = FormatFlag & KitFlags & { readonly remote?: boolean };

function registerInfo(parent: Command, context: OpenContext): void {
  addNetworkOptions(
    addTableOption(
      addGlobalOptions(parent.command('info'))
        .description('Show what an index offers, with labels')
        .argument('<index>', 'an index, of ModelKits or of platforms; or oci:DIR[:tag]')
        .option('-r, --remote', 'look in the registry, not in local storage'),
    ),
  ).action(async (index: string, flags: RemoteFlags) => {
    const cli = await context();
    const result = await indexInfo(cli.kit(flags), parseLocation(index), flags.remote === true ? 'remote' : 'local', cli.call);
    cli.result(flags.format, infoJson(result), infoLines(result));
  });
}

function infoJson({ reference, digest, variants }: IndexInfo): unknown {
  const modelKits = variants.map(({ reference: name, descriptor, size, labels, annotations }) => ({
    reference: name,
    digest: descriptor.digest,
    size: size ?? null,
    labels,
    annotations,
  }));
  return { reference, digest, modelKits };
}

function infoLines({ reference, digest, isOfModelKits, variants }: IndexInfo): string[] {
  const kind = isOfModelKits ? 'ModelKit' : 'manifest';
  const head = `Index ${reference} (${digest})`;
  if (variants.length === 0) return [head, `Index contains no ${kind}s`];
  const rows = variants.flatMap(({ reference: name, descriptor, size, labels, annotations }) => {
    const pairs = labelPairs(labels);
    const noted = Object.entries(annotations).map(([key, value]) => `${key}=${value}`);
    return Array.from({ length: Math.max(1, pairs.length, noted.length) }, (_, row) => {
      const cells = row === 0 ? [name ?? '<none>', size === undefined ? '<none>' : formatBytes(size)] : ['', ''];
      const missing = row === 0 ? '<none>' : '';
      return [...cells, pairs[row] ?? missing, noted[row] ?? missing, row === 0 ? descriptor.digest : ''].map(singleLine);
    });
  });
  const table = formatTable([['ORIGINAL REFERENCE', 'SIZE', 'LABELS', 'ANNOTATIONS', 'DIGEST'], ...rows]);
  return [head, variants.length === 1 ? `1 ${kind}:` : `${variants.length} ${kind}s:`, ...table.map((line) => line.trimEnd())];
}

function registerInspect(parent: Command, context: OpenContext): void {
  addNetworkOptions(
    addGlobalOptions(parent.command('inspect'))
      .description('Print an index as JSON')
      .argument('<index>', 'an index; or oci:DIR[:tag]')
      .option('-r, --remote', 'look in the registry, not in local storage'),
  ).action(async (index: string, flags: RemoteFlags) => {
    const cli = await context();
    const body = await inspectIndex(cli.kit(flags), parseLocation(index), flags.remote === true ? 'remote' : 'local', cli.call);
    cli.result('text', undefined, [stringifyLikeGo(body, 2)]);
  });
}

function registerPush(parent: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addGlobalOptions(parent.command('push'))
        .description('Send an index to a registry, with what it lists as far as that is in local storage; the rest must be there')
        .argument('<source>', 'an index in local storage')
        .argument('[destination]', 'where it goes (default: the registry that the source names)'),
    ),
  )
    .addHelpText('after', PUSH_EXAMPLES)
    .action(async (source: string, destination: string | undefined, flags: FormatFlag & KitFlags) => {
      const cli = await context();
      const to = destination === undefined ? {} : { destination: parseLocation(destination) };
      const pushed = await pushIndex(cli.kit(flags), { source: parseLocation(source), ...to }, cli.call);
      const lines = pushed.flatMap(({ reference, digest }) => [`Pushing index ${reference}`, `Pushed index ${digest}`]);
      cli.result(flags.format, pushed, lines);
    });
}

const PUSH_EXAMPLES = `
Examples:
  kit index push ghcr.io/team/mymodel:all
  kit index push mymodel:all ghcr.io/team/mymodel:1.2`;

function registerPull(parent: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addGlobalOptions(parent.command('pull'))
        .description('Fetch an index alone; `kit pull` fetches all that it lists, and with --label one of it')
        .argument('<index>', 'registry/repository[:tag]'),
    ),
  ).action(async (index: string, flags: FormatFlag & KitFlags) => {
    const cli = await context();
    const result = await pullIndex(cli.kit(flags), parseReference(index), cli.call);
    cli.result(flags.format, result, [`Pulling index ${result.reference}`, `Pulled index ${result.digest}`]);
  });
}

interface DeleteFlags extends FormatFlag {
  readonly force?: boolean;
  readonly all?: boolean;
}

function registerDelete(parent: Command, context: OpenContext): void {
  addFormatOption(
    addGlobalOptions(parent.command('delete'))
      .description('Delete an index of local storage; what it lists stays. `kit remove --remote` deletes one of a registry')
      .argument('[index]', 'by tag or digest; a tag goes alone where the index has others')
      .option('-f, --force', 'with all its tags')
      .option('-a, --all', 'every index without a tag; with --force every one'),
  ).action(async (index: string | undefined, flags: DeleteFlags) => {
    if (index === undefined && flags.all !== true) throw new KitError('USAGE', 'name the index, or say --all');
    if (index !== undefined && flags.all === true) throw new KitError('USAGE', '--all goes without the name of an index');
    const cli = await context();
    const options = { force: flags.force === true };
    const kit = cli.kit({});
    const deleted =
      index === undefined
        ? await deleteIndexes(kit, options, cli.call)
        : [await deleteIndex(kit, parseReference(index), options, cli.call)];
    cli.result(
      flags.format,
      deleted,
      deleted.flatMap((one) => describeDeleted(one, index === undefined)),
    );
  });
}

function describeDeleted({ reference, digest, outcome, tags }: DeletedIndex, isOneOfMany: boolean): string[] {
  const known = isOneOfMany ? '' : ` (digest ${digest})`;
  if (outcome === 'untagged') return [`Untagged index ${reference}${known}`];
  return [`Deleted index ${reference}${known}`, ...(tags.length === 0 ? [] : [`Removed tags: ${tags.join(', ')}`])];
}
