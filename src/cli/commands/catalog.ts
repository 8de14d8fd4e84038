import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { catalogSync, type CatalogSyncResult } from '../../operations/query/catalog-sync.ts';
import type { OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addGlobalOptions } from '../options/global.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';

export function register(command: Command, context: OpenContext): void {
  command
    .argument('[command]')
    .usage('sync')
    .addHelpText('after', '\n`kit catalog sync --help` shows its options, with examples. `kit query ... --catalog` asks what it wrote.')
    .action((name: string | undefined) => {
      if (name === undefined) command.help();
      throw new KitError('USAGE', `unknown command \`catalog ${name ?? ''}\``, { hint: 'write `kit catalog sync`' });
    });
  registerSync(command, context);
}

type Flags = KitFlags & FormatFlag & { readonly database?: string; readonly tensors?: boolean; readonly signatures?: boolean };

function registerSync(catalog: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addGlobalOptions(catalog.command('sync'))
        .description('Write what `kit query --catalog` asks: an index of the models in registries, brought up to date')
        .argument('[references...]', 'REGISTRY, REGISTRY/team/* or REPOSITORY[:TAG] (default: all that it was told before)')
        .option(
          '--database <database>',
          'path of an SQLite file, or postgres://USER@HOST/DATABASE (default: $KIT_CATALOG, else catalog.db in the folder of kit)',
        )
        .option('--tensors', 'also what the headers of weights say: some requests more for each new model')
        .option('--signatures', 'also who says to have signed: some requests more for each model, each time'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (references: readonly string[], flags: Flags) => {
      const cli = await context();
      const { tensors = false, signatures = false } = flags;
      const database = flags.database ?? (cli.env['KIT_CATALOG'] || undefined);
      const result = await catalogSync(cli.kit(flags), { references, database, tensors, signatures }, cli.call);
      cli.result(flags.format, result, describe(result));
    });
}

const EXAMPLES = `
Only manifests that were not seen before are read; tags that are gone disappear. Interrupted, it goes on where it was; two at once wait for
one another. A password belongs into $PGPASSWORD or ~/.pgpass, not onto the command line; none is stored.

Examples:
  kit catalog sync 'ghcr.io/team/*' ghcr.io/other/model
  kit catalog sync localhost:5000 --tensors --signatures
  kit catalog sync --database postgres://kit@db.example.com/models 'registry.example.com/**'
  kit query 'model.parameters.accuracy > 0.95' --catalog postgres://kit@db.example.com/models`;

function describe({ catalog, repositories, tags, read, unreadable, models, others }: CatalogSyncResult): string[] {
  return [
    `${catalog}: ${models} models, ${others} other artifacts`,
    `repositories: ${repositories}`,
    `tags: ${tags.added} added, ${tags.moved} moved, ${tags.removed} removed, ${tags.unchanged} unchanged`,
    `manifests read: ${read}${unreadable > 0 ? `, ${unreadable} cannot be read` : ''}`,
  ];
}
