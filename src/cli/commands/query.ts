import type { Command } from 'commander';
import { parseFlagField } from '../../catalog/field-path.ts';
import { KitError } from '../../errors.ts';
import { stringifyExact } from '../../oci/json.ts';
import { query, type QueryResult } from '../../operations/query/query.ts';
import { defaultCatalog } from '../../operations/query/catalog-sync.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addNetworkOptions, collect, type KitFlags } from '../options/network.ts';
import { queryLines, queryTemplate, templateFields } from '../render/query-text.ts';
import { printMessage } from '../render/text.ts';

type Flags = KitFlags & {
  readonly sort?: readonly string[];
  readonly limit?: string;
  readonly columns?: string;
  readonly format: string;
  readonly catalog?: string | true;
};

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    command
      .argument('<expression>', 'a comparison on fields, or a JSONPath (RFC 9535) that begins with $')
      .argument('[references...]', 'REGISTRY, REGISTRY/team/*, REPOSITORY[:TAG] or oci:DIR (default: local storage, or all of the catalog)')
      .option('--sort <field[:desc]>', 'order by a field (repeatable)', collect)
      .option('-n, --limit <count>', 'only the first')
      .option('--columns <fields>', 'of the table, separated by commas (default: reference, the fields of the expression, size)')
      .option('--format <format>', 'output: table, json, or a Go template over .reference, .model.name and so on', 'table')
      .option(
        '--catalog [database]',
        'ask what `kit catalog sync` wrote: a path, postgres://... or nothing ($KIT_CATALOG, else the usual place)',
      ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (expression: string, references: readonly string[], flags: Flags) => run(expression, references, flags, await context()));
}

const EXAMPLES = `
Fields are those of the Kitfile (model.parameters.accuracy, package.license, datasets[*].name) and annotations, customProperties (OMLMD),
format, size, created, tags, repository, index, tensors (parameters, quantization, architecture ...), signatures (present, identities ...).
Operators: == != < <= > >= =~ !~ in && || ! ( ). A field alone is true where it is there. docs/query.md has all of it.

Examples:
  kit query 'model.parameters.accuracy > 0.95' 'ghcr.io/team/*' --sort model.parameters.accuracy:desc -n 5
  kit query 'model.license in ["MIT", "Apache-2.0"] && size < 20GB' ghcr.io/team/llama
  kit query 'tensors.parameters > 1e9 && tensors.quantization =~ "^Q4"' localhost:5000
  kit query 'signatures.present && "prod" in tags' ghcr.io/team/model --format json | jq -r '.[].digest'
  kit query '$.model.parameters[?@ > 0.95]' --format '{{.reference}} {{.model.parameters.accuracy}}'
  kit query 'model.parameters.accuracy > 0.95' --catalog`;

async function run(expression: string, references: readonly string[], flags: Flags, context: CliContext): Promise<void> {
  // what is wrong on the command line should not cost a trip to the registry
  const template = ['table', 'json', ''].includes(flags.format) ? undefined : queryTemplate(flags.format);
  const columns = flags.columns?.split(',').map((column) => column.trim());
  for (const column of columns ?? []) parseFlagField(column, '--columns');
  const limit = flags.limit === undefined ? undefined : readLimit(flags.limit);
  const kit = context.kit(flags);
  const catalog = flags.catalog === true ? context.env['KIT_CATALOG'] || defaultCatalog(kit) : flags.catalog;
  const fields = template === undefined ? columns : templateFields(flags.format);
  const { sort } = flags;
  const result = await query(
    kit,
    { expression, references, catalog, limit, ...(sort && { sort }), ...(fields && { fields }) },
    context.call,
  );
  if (flags.format === 'json') context.result('text', undefined, [stringifyExact(result.models, 2)]);
  else context.result('text', undefined, template === undefined ? queryLines(result, columns) : result.models.map(template));
  printMessage(summary(result));
}

/** On stderr: what was left out is said, and does not get into the data. */
function summary({ models, matches, looked }: QueryResult): string {
  const shown = models.length < matches ? `, ${models.length} shown` : '';
  if (looked === undefined) return `${matches} ${matches === 1 ? 'model matches' : 'models match'}${shown}`;
  const others = looked.others > 0 ? `; ${looked.others} other ${looked.others === 1 ? 'artifact' : 'artifacts'} skipped` : '';
  const unreadable = looked.unreadable > 0 ? `; ${looked.unreadable} cannot be read` : '';
  return `${matches} of ${looked.models} ${looked.models === 1 ? 'model matches' : 'models match'}${shown}${others}${unreadable}`;
}

function readLimit(text: string): number {
  const limit = Number(text);
  if (Number.isSafeInteger(limit) && limit >= 1) return limit;
  throw new KitError('USAGE', `invalid value \`${text}\` for --limit`, { hint: 'a whole number, at least 1' });
}
