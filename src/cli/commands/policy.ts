import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { formatLocation, parseLocation } from '../../oci/reference.ts';
import { checkPolicy, policyInput, type PolicyReport, requirePolicies, tellWarnings } from '../../operations/policy/policy.ts';
import type { ConfiguredPolicy } from '../../operations/configuration.ts';
import { configuredPolicies, policiesFor } from '../../operations/policy/configured.ts';
import { judgeFiles } from '../../operations/policy/documents.ts';
import { requireTests, testPolicies } from '../../operations/policy/test.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addGlobalOptions } from '../options/global.ts';
import { addNetworkOptions, collect, type KitFlags } from '../options/network.ts';
import { addTrustOptions, type TrustFlags } from '../options/signing.ts';
import { trustOf } from '../options/policy.ts';
import { singleLine } from '../render/plain-text.ts';
import { reportLines } from '../render/policy-text.ts';

export function register(command: Command, context: OpenContext): void {
  command
    .argument('[command]')
    .usage('eval | test | input | list')
    .allowExcessArguments()
    .allowUnknownOption()
    .addHelpText('after', '\n`kit policy COMMAND --help` shows the options of a command, with examples.')
    .action((name: string | undefined) => {
      if (name === undefined) command.help();
      throw new KitError('USAGE', `unknown command \`policy ${name ?? ''}\``, {
        hint: 'write `kit policy eval`, `test`, `input` or `list`',
      });
    });
  registerEval(command, context);
  registerTest(command, context);
  registerInput(command, context);
  registerList(command, context);
}

interface JudgeFlags extends FormatFlag, KitFlags {
  readonly input?: readonly string[];
  readonly against?: readonly string[];
  readonly remote?: boolean;
}

function addJudgeOptions(command: Command): Command {
  return addNetworkOptions(
    addFormatOption(
      command
        .option('--input <file>', 'judge the documents of this JSON or YAML file, `-` for standard input (repeatable)', collect)
        .option('--against <reference>', 'judge this artifact (repeatable)', collect)
        .option('-r, --remote', 'with --against: look in the registry, not in local storage'),
    ),
  );
}

function registerEval(policy: Command, context: OpenContext): void {
  addJudgeOptions(
    addGlobalOptions(policy.command('eval'))
      .description('Judge artifacts, or any JSON or YAML, by a policy')
      .argument('<policy...>', POLICY),
  )
    .addHelpText('after', EVAL_EXAMPLES)
    .action(async (policies: readonly string[], flags: JudgeFlags) => judge(policies, flags, await context()));
}

const POLICY = 'policy in YAML, or rules in Rego: .rego, .wasm, or a bundle of `opa build -t wasm`';
const EVAL_EXAMPLES = `
Exit status 6: a rule is broken. Every broken rule is named.

Examples:
  kit policy eval production.yaml --against ghcr.io/team/mymodel:v1
  kit policy eval kserve-storage.yaml --input inference-service.yaml
  kubectl get inferenceservices -A -o yaml | kit policy eval kserve-storage.yaml --input -
  kit policy eval deny.rego --against mymodel:v1 --format json`;

async function judge(policies: readonly string[], flags: JudgeFlags, context: CliContext): Promise<void> {
  const { input = [], against = [], remote } = flags;
  if (input.length + against.length === 0)
    throw new KitError('USAGE', 'there is nothing to judge', { hint: 'add `--input FILE`, or `--against REFERENCE`' });
  const kit = context.kit(flags);
  const inputs = await Promise.all(
    input.map(async (file) => (file === '-' ? { file: 'standard input', text: await readAll(process.stdin) } : file)),
  );
  const reports: PolicyReport[] = input.length === 0 ? [] : await judgeFiles(kit, { policies, inputs }, context.call);
  for (const reference of against) {
    const args = { location: parseLocation(reference), policies, lookup: remote === true ? 'remote' : 'local-first' } as const;
    reports.push(await checkPolicy(kit, args, context.call));
  }
  context.result(flags.format, reports, reports.flatMap(reportLines));
  for (const report of reports) tellWarnings(report, context.call);
  requirePolicies(...reports);
}

function registerTest(policy: Command, context: OpenContext): void {
  addJudgeOptions(
    addGlobalOptions(policy.command('test'))
      .description('Run the tests of policies')
      .argument('<path...>', 'test files, or folders with files called *_test.yaml; with --input or --against a policy'),
  )
    .addHelpText('after', TEST_EXAMPLES)
    .action(async (paths: readonly string[], flags: JudgeFlags) => {
      const cli = await context();
      if (flags.input !== undefined || flags.against !== undefined) {
        await judge(paths, flags, cli);
        return;
      }
      const cases = await testPolicies(cli.kit(flags), paths, cli.call);
      const lines = cases.filter(({ passed }) => passed).map(({ file, name }) => singleLine(`ok ${file}: ${name}`));
      cli.result(flags.format, cases, lines);
      requireTests(cases);
    });
}

const TEST_EXAMPLES = `
A test names a policy, and for each case an input and whether it passes, and which rules are broken: see docs/policy.md.
Exit status 1: a case failed.

Examples:
  kit policy test policies/
  kit policy test no-pickle_test.yaml --format json
  kit policy test production.yaml --against ghcr.io/team/mymodel:v1`;

interface InputFlags extends KitFlags, TrustFlags {
  readonly policy?: string;
  readonly remote?: boolean;
}

function registerInput(policy: Command, context: OpenContext): void {
  addTrustOptions(
    addNetworkOptions(
      addGlobalOptions(policy.command('input'))
        .description('Print the document that policies judge, as JSON')
        .argument('<reference>', '[registry/]repository[:tag][@digest], or oci:DIR[:tag]')
        .option('--policy <file>', 'with the signers, and the parts, that this policy names (default: all parts, and no signers)')
        .option('-r, --remote', 'look in the registry, not in local storage'),
    ),
  )
    .addHelpText('after', INPUT_EXAMPLES)
    .action(async (reference: string, flags: InputFlags) => {
      const cli = await context();
      const args = {
        location: parseLocation(reference),
        policies: flags.policy === undefined ? [] : [flags.policy],
        trust: trustOf(flags),
        lookup: flags.remote === true ? 'remote' : 'local-first',
      } as const;
      cli.result('json', await policyInput(cli.kit(flags), args, cli.call), []);
    });
}

const INPUT_EXAMPLES = `
Examples:
  kit policy input ghcr.io/team/mymodel:v1 --policy production.yaml
  kit policy input mymodel:v1 | opa eval -I -d deny.rego data.kit.deny`;

function registerList(policy: Command, context: OpenContext): void {
  addFormatOption(
    addGlobalOptions(policy.command('list'))
      .description('List the policies of the configuration, or those that apply to an artifact')
      .argument('[reference]', '[registry/]repository[:tag][@digest], or oci:DIR[:tag]'),
  )
    .addHelpText('after', LIST_EXAMPLES)
    .action(async (reference: string | undefined, flags: FormatFlag) => {
      const cli = await context();
      const kit = cli.kit({});
      const location = reference === undefined ? undefined : parseLocation(reference);
      const found = location === undefined ? await configuredPolicies(kit) : await policiesFor(kit, location);
      const none =
        location === undefined ? 'no policy is configured' : `no policy of the configuration applies to ${formatLocation(location)}`;
      cli.result(flags.format, found, found.length === 0 ? [none] : found.map(describe));
    });
}

const LIST_EXAMPLES = `
They are applied by pull, index pull, unpack, cat, copy, convert, promote, rollback, save, load and gitops pull, all that match: see
docs/policy.md.

Examples:
  kit policy list
  kit policy list ghcr.io/team/mymodel:v1`;

function describe({ file, repositories, mode, from }: ConfiguredPolicy): string {
  return `${file}: ${repositories.join(', ')}${mode === undefined ? '' : ` (${mode})`}, by ${from}`;
}
