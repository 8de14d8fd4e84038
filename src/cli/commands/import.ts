import type { Command } from 'commander';
import { text as readAll } from 'node:stream/consumers';
import { writeFile } from 'node:fs/promises';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import { importModel, type ImportResult } from '../../operations/import/import.ts';
import { importProvenance } from '../../operations/import/provenance.ts';
import { findKitfile } from '../../operations/pack/read-kitfile.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addDepthOption, type DepthFlag } from '../options/depth.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { oneOf } from '../options/global.ts';
import { addNetworkOptions, collect, type KitFlags } from '../options/network.ts';

interface ImportFlags extends DepthFlag, FormatFlag, KitFlags {
  readonly ref?: string;
  readonly token?: string;
  readonly tool?: 'hf' | 'git';
  readonly tag?: string;
  readonly file?: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly layerFormat?: 'tar' | 'raw';
  readonly useModelPack?: boolean;
  readonly push?: boolean;
  readonly attestationOutput?: string;
}

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addDepthOption(command)
        .argument('<source>', 'ORG/NAME or datasets/ORG/NAME on Hugging Face, a URL (hub, git, s3, file or archive), or a path')
        .option('--ref <revision>', 'branch, tag or commit (default: main)')
        .option('--token <token>', 'token for the source (default: $HF_TOKEN, or the one that `hf auth login` stored)')
        .option('-t, --tag <reference>', 'name of the ModelKit, as for pack (default: ORG/NAME:latest in small letters)')
        .option('-f, --file <kitfile>', 'the Kitfile, or - for standard input (default: the one in the source, else one is made)')
        .option('--tool <tool>', 'hf or git, where the source could be either (default: by its form)', (value: string) =>
          oneOf('--tool', value, ['hf', 'git']),
        )
        .option('--include <glob>', 'only files that match, by name or by path (repeatable)', collect)
        .option('--exclude <glob>', 'no files that match (repeatable)', collect)
        .option('--layer-format <format>', 'tar, or raw for one file a layer, by the digest that it has at the source', (value: string) =>
          oneOf('--layer-format', value, ['tar', 'raw']),
        )
        .option('--use-model-pack', 'pack a CNCF ModelPack instead of a ModelKit')
        .option('--push', 'straight to the registry that --tag names, nothing is stored here')
        .option(
          '--attestation-output <file>',
          'write SLSA provenance of the import, unsigned, to this file; - prints it instead of what was done',
        ),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (source: string, flags: ImportFlags) => run(source, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit import Qwen/Qwen3-0.6B                                                 into local storage, as qwen/qwen3-0.6b:latest
  kit import Qwen/Qwen3-0.6B --ref c1899de289a0 --layer-format raw           one revision, files by the digests they have there
  kit import datasets/openai/gsm8k -t gsm8k:v1 --include '*.parquet'         part of a dataset
  kit import Qwen/Qwen3-0.6B -t ghcr.io/team/qwen3:0.6b --push               to a registry, no copy here
  kit import https://github.com/team/model.git --ref v2                      from git, with what LFS keeps
  kit import s3://models/qwen3/ -t qwen3:v1                                  all objects below a prefix
  kit import https://example.com/model.tar.gz -t model:v1                    from an archive, or ./DIRECTORY
  HF_ENDPOINT=https://hub.example.com kit import team/model                  from another hub`;

async function run(source: string, flags: ImportFlags, context: CliContext): Promise<void> {
  if (flags.push === true && flags.tag === undefined)
    throw new KitError('USAGE', '--push needs --tag', { hint: 'name where it goes: `--tag REGISTRY/REPOSITORY:TAG`' });
  const file = flags.file;
  const kitfile =
    file === undefined ? undefined : file === '-' ? { text: await readAll(process.stdin), file: 'stdin' } : await findKitfile('.', file);
  const result = await importModel(
    context.kit(flags),
    {
      source,
      revision: flags.ref,
      token: flags.token,
      tool: flags.tool,
      depth: flags.depth,
      kitfile,
      destination: flags.tag === undefined ? undefined : parseLocation(flags.tag),
      include: flags.include,
      exclude: flags.exclude,
      layerFormat: flags.layerFormat,
      ...(flags.push !== undefined && { push: flags.push }),
      ...(flags.useModelPack === true && { format: 'modelpack' }),
    },
    context.call,
  );
  const lines = describe(result);
  if (flags.attestationOutput === undefined) return context.result(flags.format, result, lines);
  const statement = JSON.stringify(importProvenance(result, { source, revision: flags.ref }), null, 2);
  // stdout is one thing or the other
  if (flags.attestationOutput === '-') return context.result('text', undefined, [statement]);
  await writeStatement(flags.attestationOutput, statement);
  context.result(flags.format, result, lines);
}

async function writeStatement(path: string, statement: string): Promise<void> {
  await writeFile(path, `${statement}\n`).catch((error: unknown) => {
    throw asPathError(error, path);
  });
}

function describe({ source, revision, reference, layers, digest }: ImportResult): string[] {
  return [
    `Imported ${source}${revision === undefined ? '' : ` at ${revision}`}`,
    ...layers.map(
      ({ role, path, descriptor, existed }) => `${existed ? 'Already saved' : 'Saved'} ${role} layer ${path}: ${descriptor.digest}`,
    ),
    `Model saved: ${digest}`,
    ...(reference === undefined ? [] : [`Tagged ${reference}`]),
  ];
}
