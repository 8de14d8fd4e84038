import { type Command, Option } from 'commander';
import { KitError } from '../../errors.ts';
import { type Filter, type FilterType, parseFilter } from '../../operations/artifact/filter.ts';
import type { Kit } from '../../operations/kit.ts';
import { unpack, type UnpackArguments, type UnpackResult } from '../../operations/unpack/unpack.ts';
import type { Digest } from '../../oci/digest.ts';
import { parseByteSize } from '../../oci/byte-size.ts';
import { formatLocation, type Location, parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { type ConflictFlags, conflictOf } from '../options/conflict.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addLabelOption, chooseByLabel, type LabelFlag } from '../options/label.ts';
import { addNetworkOptions, collect } from '../options/network.ts';
import { openVerifier } from '../options/signing.ts';
import { singleLine } from '../render/plain-text.ts';
import { printMessage } from '../render/text.ts';
import { addVerifyFirstOptions, openVerifyFirst, type VerifyFirstFlags } from '../options/verify-first.ts';

interface UnpackFlags extends ConflictFlags, FormatFlag, LabelFlag, VerifyFirstFlags {
  readonly dir?: string;
  readonly filter?: readonly string[];
  readonly maxSize?: string;
  readonly link?: boolean;
  readonly wholeLayers?: boolean;
  readonly includeRemote?: boolean;
  readonly oms?: boolean;
  readonly asSkill?: string;
  readonly kitfile?: boolean;
  readonly model?: boolean;
  readonly code?: boolean;
  readonly datasets?: boolean;
  readonly docs?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      command
        .argument('<reference>', 'a ModelKit in local storage, else in its registry; or oci:DIR[:tag], oci-archive:FILE[:tag]')
        .option('-d, --dir <directory>', 'where to unpack (default: the working directory)')
        .option('-o, --overwrite', 'replace files that are in the way')
        .option('-i, --ignore-existing', 'keep files that are in the way')
        .option(
          '-f, --filter <filter>',
          'unpack only TYPE[,TYPE][:NAME[,NAME]]; types are kitfile, model, datasets, code, docs, prompts, mcpservers; names may be globs; or path:GLOB[,GLOB] for single files (repeatable)',
          collect,
        )
        .option('--whole-layers', 'with path filters: fetch the whole layers, so that digests cover the files')
        .option('--max-size <size>', 'fail when the files would have more than this in all, for example 20GiB')
        .option('--link', 'hard links to local storage instead of copies, for raw layers; the files are read-only')
        .option('--include-remote', 'fetch datasets and models that stay elsewhere (remotePath) too, and check them')
        .option('--oms', 'write the OpenSSF model signature that lies beside it too, as model.sig; with --verify one that holds')
        .addOption(
          new Option(
            '--as-skill [agents]',
            'install prompts that hold a SKILL.md as skills, and nothing else: for these agents, as in --as-skill=claude-code,codex, or for those found in your home; in the project of -d, else for all projects',
          ).preset('auto'),
        )
        .option('--kitfile', 'deprecated: use --filter kitfile')
        .option('--model', 'deprecated: use --filter model')
        .option('--code', 'deprecated: use --filter code')
        .option('--datasets', 'deprecated: use --filter datasets')
        .option('--docs', 'deprecated: use --filter docs'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: UnpackFlags) => run(reference, flags, await context()));
  addVerifyFirstOptions(addLabelOption(command));
}

const EXAMPLES = `
Examples:
  kit unpack mymodel:v1 -d ./out                                 everything
  kit unpack ghcr.io/team/mymodel:v1 --filter model -d ./out     only the model, straight from the registry
  kit unpack mymodel:v1 --filter datasets:train,test             datasets by name
  kit unpack ghcr.io/team/mymodel:v1 --filter 'path:tokenizer*'  single files, straight out of the layers
  kit unpack ghcr.io/team/mymodel:v1 --verify --key cosign.pub   only if it is signed
  kit unpack mymodel:v1 --include-remote                         with the datasets that stay in S3, on a hub or web server
  kit unpack mymodel:v1 --filter 'docs:*.md' --filter kitfile    one or the other
  kit unpack ghcr.io/team/skills:v1 --as-skill=claude-code,codex prompts with a SKILL.md, as skills of these agents
  kit unpack ghcr.io/team/mymodel:all --label quantization=q4_0  one of the variants of an index`;

/** @throws KitError USAGE */
function checkFlags(reference: string, flags: UnpackFlags): Location {
  conflictOf(flags);
  const named = parseLocation(reference);
  if (named.type === 'reference' && named.reference.tags.length > 1)
    throw new KitError('USAGE', `${reference}: cannot unpack several tags`, { hint: 'unpack one at a time' });
  if (flags.oms === true && flags.filter !== undefined)
    throw new KitError('USAGE', '--oms does not go with --filter: a model signature is over all files');
  return named;
}

async function run(reference: string, flags: UnpackFlags, context: CliContext): Promise<void> {
  const named = checkFlags(reference, flags);
  const asSkills = flags.asSkill === undefined ? undefined : await openSkills(flags.asSkill, flags, context);
  const { kit, admit } = await openVerifyFirst(flags, context);
  const chosen = await chooseByLabel(kit, named, 'local-first', flags, context.call);
  const source = chosen?.location ?? named;
  const common = {
    source,
    filters: readFilters(flags),
    conflict: conflictOf(flags),
    ...(admit && { admit }),
    ...(flags.maxSize !== undefined && { maxBytes: parseByteSize(flags.maxSize, '--max-size') }),
  };
  if (asSkills !== undefined) return await asSkills(kit, common);
  const writeSignature = flags.oms === true ? await openModelSignature(formatLocation(source), flags, kit, context) : undefined;
  const result = await unpack(
    kit,
    {
      ...common,
      ...(flags.dir !== undefined && { directory: flags.dir }),
      ...(flags.link !== undefined && { link: flags.link }),
      ...(flags.includeRemote !== undefined && { includeRemote: flags.includeRemote }),
      ...(flags.wholeLayers !== undefined && { wholeLayers: flags.wholeLayers }),
    },
    context.call,
  );
  const signature = await writeSignature?.(result.digest);
  const lines = signature === undefined ? [] : [`Unpacking model signature to ${signature}`];
  context.result(flags.format, { ...result, signature }, [...describe(result), ...lines]);
  if (flags.format !== 'json') for (const line of remarks(result)) printMessage(line);
}

/** Finds the agents before anything is looked up. @throws KitError USAGE */
async function openSkills(text: string, flags: UnpackFlags, context: CliContext) {
  for (const flag of ['link', 'includeRemote', 'oms', 'wholeLayers'] as const) {
    if (flags[flag] === undefined) continue;
    throw new KitError('USAGE', `--as-skill does not go with --${flag.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  }
  const { chooseAgents, unpackAsSkills } = await import('../skills.ts');
  const agents = chooseAgents(text, context);
  return async (kit: Kit, common: Omit<UnpackArguments, 'directory'>): Promise<void> =>
    await unpackAsSkills(kit, { ...common, agents, project: flags.dir }, flags.format, context);
}

async function openModelSignature(
  reference: string,
  flags: UnpackFlags,
  kit: Kit,
  context: CliContext,
): Promise<(digest: Digest) => Promise<string>> {
  const { prepareModelSignature } = await import('../oms.ts');
  const verifier = flags.verify === true ? await openVerifier(flags, context.env, '--verify') : undefined;
  const { dir: directory = '.', overwrite = false } = flags;
  return await prepareModelSignature(kit, { reference, directory, overwrite, verifier }, context);
}

const DEPRECATED: readonly FilterType[] = ['kitfile', 'model', 'code', 'datasets', 'docs'];

// kit ignores the old flags when there are filters; either asks for something here, so they are OR-ed
function readFilters(flags: UnpackFlags): Filter[] {
  const old = DEPRECATED.filter((type) => (flags as unknown as Record<string, unknown>)[type] === true);
  return [...(flags.filter ?? []).map(parseFilter), ...old.map(parseFilter)];
}

const VERBS: Readonly<Record<string, string>> = { modelpart: 'model part', mcpserver: 'MCP server' };

function describe({ directory, kitfile, bases, layers, remote = [] }: UnpackResult): string[] {
  return [
    `Unpacking to ${directory}`,
    ...bases.map((base) => `Unpacking referenced modelkit ${base}`),
    ...(kitfile === undefined
      ? []
      : [kitfile === 'kept' ? `Found existing Kitfile at ${directory}/Kitfile` : `Unpacking config to ${directory}/Kitfile`]),
    ...layers.flatMap(({ role, name, path, files }) =>
      files === undefined
        ? `Unpacking ${VERBS[role] ?? role}${name === undefined ? '' : ` ${name}`} to ${path}`
        : files.map((file) => `Unpacking ${file}`),
    ),
    ...remote.map(({ entry, from, path }) => `Fetching ${entry} from ${from} to ${path}`),
  ];
}

/** What no digest covers. */
function remarks({ unverified = [] }: UnpackResult): string[] {
  if (unverified.length === 0) return [];
  const names = unverified.length > 3 ? `${unverified.slice(0, 3).join(', ')} and ${unverified.length - 3} more` : unverified.join(', ');
  return [singleLine(`not checked against a digest, which only whole layers have: ${names} (\`--whole-layers\` fetches those)`)];
}
