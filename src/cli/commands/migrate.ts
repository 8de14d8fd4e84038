import type { Command } from 'commander';
import { type Migrated, migrate, requireMigrated } from '../../operations/store/migrate.ts';
import type { OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { formatBytes } from '../render/text.ts';

interface MigrateFlags extends FormatFlag {
  readonly dryRun?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .argument('<folder>', "the folder of the other store: KitOps' is $KITOPS_HOME, or ~/.local/share/kitops")
      .option('--dry-run', 'say what would be taken over, and write nothing'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (from: string, flags: MigrateFlags) => {
      const cli = await context();
      const dryRun = flags.dryRun === true;
      const migrated = await migrate(cli.kit({}), { from, dryRun }, cli.call);
      cli.result(flags.format, migrated, [...migrated.map((one) => line(one, dryRun)), summary(migrated, dryRun)]);
      requireMigrated(migrated);
    });
}

const EXAMPLES = `
The other store is only read. Where both are the same folder nothing has to be done: kit and KitOps share a store.

Examples:
  kit migrate --dry-run ~/.local/share/kitops
  kit --config /srv/models migrate ~/.local/share/kitops`;

function line({ repository, digest, tags, bytes, conflicts, problem }: Migrated, dryRun: boolean): string {
  const name = tags.length === 0 ? `${repository}@${digest}` : `${repository}:${tags.join(',')} (${digest})`;
  if (problem !== undefined) return `Damaged ${repository}@${digest}: ${problem}`;
  const kept = conflicts.length === 0 ? '' : `, without ${conflicts.join(', ')}`;
  return `${dryRun ? 'Would take over' : 'Took over'} ${name}: ${formatBytes(bytes)}${kept}`;
}

function summary(migrated: readonly Migrated[], dryRun: boolean): string {
  const sound = migrated.filter(({ problem }) => problem === undefined);
  const tags = sound.reduce((sum, one) => sum + one.tags.length, 0);
  return `${sound.length} artifacts with ${tags} tags ${dryRun ? 'would be' : 'were'} taken over`;
}
