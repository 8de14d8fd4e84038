import type { Command } from 'commander';
import { basename, isAbsolute, relative } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { KitError } from '../../errors.ts';
import { PACK_FORMATS, type PackFormatName } from '../../formats/registry.ts';
import { findKitfile } from '../../operations/pack/read-kitfile.ts';
import { pack, type PackResult } from '../../operations/pack/pack.ts';
import { COMPRESSIONS, type Compression } from '../../blobs/compress.ts';
import type { Kit } from '../../operations/kit.ts';
import type { ProvenanceArguments, ProvenanceResult } from '../../operations/pack/provenance.ts';
import { type Location, parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { oneOf } from '../options/global.ts';
import { addNetworkOptions } from '../options/network.ts';
import { printMessage } from '../render/text.ts';
import { addSignAfterOptions, openSignAfter, type SignAfterFlags } from '../options/sign-after.ts';

const FORMATS = Object.keys(PACK_FORMATS) as PackFormatName[];

interface PackFlags extends FormatFlag, SignAfterFlags {
  readonly file?: string;
  readonly tag?: string;
  readonly compression: Compression;
  readonly layerFormat?: 'tar' | 'raw';
  readonly to?: PackFormatName;
  readonly useModelPack?: boolean;
  readonly followSymlinks?: boolean;
  readonly created?: string;
  readonly push?: boolean;
  readonly cache: boolean;
  readonly verifyRemote: boolean;
  readonly gitOrigin?: boolean;
  readonly provenance?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      command
        .argument('<directory>', 'the directory that the paths of the Kitfile are relative to')
        .option('-f, --file <kitfile>', 'the Kitfile, or - for standard input (default: the one in the directory)')
        .option(
          '-t, --tag <reference>',
          'name and tags of the ModelKit: [registry/]repository[:tag[,tag...]], oci:DIR[:tag] or oci-archive:FILE[:tag]',
        )
        .option('--compression <method>', COMPRESSIONS.join(', '), (value: string) => oneOf('--compression', value, COMPRESSIONS), 'none')
        .option(
          '--layer-format <format>',
          'tar, or raw for one file a layer, which KitOps before 1.15 cannot read (default: tar; raw for a ModelPack)',
          (value: string) => oneOf('--layer-format', value, ['tar', 'raw']),
        )
        .option('--use-model-pack', 'pack a CNCF ModelPack instead of a ModelKit')
        .option('--to <format>', `what to pack: ${FORMATS.join(', ')} (default: modelkit)`, (value: string) =>
          oneOf('--to', value, FORMATS),
        )
        .option('--follow-symlinks', 'pack links out of the directory as what they point to')
        .option('--created <time>', 'time for the manifest, RFC 3339 (default: none, or $SOURCE_DATE_EPOCH)')
        .option('--no-cache', 'read every file, also those that have not changed since they were packed')
        .option('--git-origin', 'record remote and commit of the git work tree in the manifest, which changes its digest')
        .option('--no-verify-remote', 'do not ask the places that remotePath names for size and SHA-256 of what is there')
        .option('--push', 'straight to the registry that --tag names, nothing is stored here')
        .option('--provenance', 'put SLSA provenance beside it: commit, Kitfile, base, datasets, builder; signed with --sign'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (directory: string, flags: PackFlags) => run(directory, flags, await context()));
  addSignAfterOptions(command);
}

const EXAMPLES = `
Examples:
  kit pack . -t mymodel:v1                                pack with the Kitfile here
  kit pack . -f Kitfile.prod -t ghcr.io/team/mymodel:v1,prod
  kit pack . -t oci:./layout:v1                           into an image layout, no store needed
  kit pack . -t localhost:5000/mymodel:v1 --push          straight to a registry
  kit pack . -t localhost:5000/mymodel:v1 --push --sign --key cosign.key
  kit pack . -t localhost:5000/mymodel:v1 --push --provenance --sign --key cosign.key
  kit pack . -t mymodel:v1 --use-model-pack               as a ModelPack, for modctl, CRI-O and Docker Model Runner`;

async function run(directory: string, flags: PackFlags, context: CliContext): Promise<void> {
  const destination = flags.tag === undefined ? undefined : parseLocation(flags.tag);
  const startedOn = new Date().toISOString();
  if (flags.provenance === true) requirePlaceForProvenance(destination);
  const { kit, signer, signAfter } = await openSignAfter(flags, requireSignable(flags, destination), context);
  const created = readCreated(flags.created, context.env['SOURCE_DATE_EPOCH']);
  const file = flags.file;
  if (flags.push === true && flags.tag === undefined)
    throw new KitError('USAGE', '--push needs --tag', { hint: 'name where it goes: `--tag REGISTRY/REPOSITORY:TAG`' });
  const kitfile =
    file === undefined
      ? undefined
      : file === '-'
        ? { text: await readAll(process.stdin), file: 'stdin' }
        : await findKitfile(directory, file);
  const result = await pack(
    kit,
    {
      directory,
      format: readFormat(flags),
      compression: flags.compression,
      cache: flags.cache,
      verifyRemote: flags.verifyRemote,
      ...(flags.gitOrigin !== undefined && { gitOrigin: flags.gitOrigin }),
      ...(flags.layerFormat !== undefined && { layerFormat: flags.layerFormat }),
      ...(kitfile && { kitfile }),
      ...(destination && { destination }),
      ...(flags.followSymlinks !== undefined && { followSymlinks: flags.followSymlinks }),
      ...(flags.push !== undefined && { push: flags.push }),
      ...(created !== undefined && { created }),
    },
    context.call,
  );
  await signAfter?.(result.digest);
  const provenance = await addProvenance(kit, { flags, directory, location: destination, packed: result, startedOn, signer }, context);
  const lines = [...describe(result), ...(signAfter === undefined ? [] : [`Signed ${result.digest}`]), ...describeProvenance(provenance)];
  context.result(flags.format, provenance === undefined ? result : { ...result, provenance }, lines);
}

/** @throws KitError USAGE */
function requirePlaceForProvenance(destination: Location | undefined): void {
  if (destination === undefined)
    throw new KitError('USAGE', '--provenance needs --tag', { hint: 'name the artifact that it is for: `--tag REPOSITORY:TAG`' });
  if (destination.type !== 'archive') return;
  throw new KitError('USAGE', '--provenance: an archive cannot hold what is added later', {
    hint: 'pack into local storage or an image layout',
  });
}

interface Described extends Pick<ProvenanceArguments, 'directory' | 'packed' | 'startedOn'> {
  readonly flags: PackFlags;
  readonly location: Location | undefined;
  readonly signer: ProvenanceArguments['signer'];
}

async function addProvenance(kit: Kit, { flags, ...args }: Described, { call }: CliContext): Promise<ProvenanceResult | undefined> {
  const { location } = args;
  if (flags.provenance !== true || location === undefined) return undefined;
  const { push, compression, layerFormat, followSymlinks, created, signatureFormat } = flags;
  const { attachProvenance } = await import('../../operations/pack/provenance.ts');
  const kitfile = kitfileName(args.directory, args.packed.inputs?.kitfile.file);
  const parameters = { kitfile, format: readFormat(flags), compression, layerFormat, followSymlinks, created };
  const result = await attachProvenance(kit, { ...args, location, parameters, signatureFormat, local: push !== true }, call);
  if (push !== true && location.type === 'reference')
    printMessage('the provenance is in local storage: `kit copy --from-local --referrers` takes it along, `kit push` does not');
  return result;
}

function describeProvenance(provenance: ProvenanceResult | undefined): string[] {
  if (provenance === undefined) return [];
  const { signed, referrer, tag } = provenance;
  return [`Provenance (${signed ? 'signed' : 'not signed'}): ${referrer ?? tag}`];
}

/** Nothing of this machine's folders. */
function kitfileName(directory: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  const path = relative(directory, file);
  return path.startsWith('..') || isAbsolute(path) ? basename(file) : path;
}

/** Where `--sign` finds the artifact; local storage is signed by `kit sign`. @throws KitError USAGE */
function requireSignable({ sign, push }: PackFlags, destination: Location | undefined): Location | undefined {
  if (sign !== true || push === true || destination?.type === 'layout') return destination;
  throw new KitError('USAGE', '--sign needs --push, or --tag oci:DIR', { hint: '`kit push --sign` signs what was packed before' });
}

function describe({ layers, config, manifest, digest }: PackResult): string[] {
  return [
    ...layers.map(({ role, descriptor, existed }) => `${existed ? 'Already saved' : 'Saved'} ${role} layer: ${descriptor.digest}`),
    `${config.existed ? 'Configuration already exists in storage' : 'Saved configuration'}: ${config.digest}`,
    `${manifest.existed ? 'Manifest already exists in storage' : 'Saved manifest to storage'}: ${manifest.digest}`,
    `Model saved: ${digest}`,
  ];
}

/** @throws KitError USAGE */
function readFormat({ to, useModelPack }: PackFlags): PackFormatName {
  if (useModelPack !== true) return to ?? 'modelkit';
  if (to !== undefined && to !== 'modelpack') {
    throw new KitError('USAGE', `--use-model-pack and --to ${to} contradict each other`, {
      hint: '`--use-model-pack` is `--to modelpack`: give one of them',
    });
  }
  return 'modelpack';
}

/** @throws KitError USAGE */
function readCreated(flag: string | undefined, epoch: string | undefined): string | undefined {
  if (flag === undefined && !epoch) return undefined;
  if (flag === undefined && !/^-?\d{1,12}$/.test(epoch ?? ''))
    throw new KitError('USAGE', `invalid SOURCE_DATE_EPOCH "${epoch}"`, { hint: 'it is a number of seconds since 1970' });
  const date = new Date(flag ?? Number(epoch) * 1000);
  if (Number.isNaN(date.getTime()))
    throw new KitError('USAGE', `invalid time \`${flag}\` for --created`, { hint: 'write it as 2026-01-31T12:00:00Z' });
  return date.toISOString().replace('.000Z', 'Z');
}
