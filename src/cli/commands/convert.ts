import type { Command } from 'commander';
import { KitError } from '../../errors.ts';
import { PACK_FORMATS } from '../../formats/registry.ts';
import type { Encoding } from '../../formats/types.ts';
import { parseLocation } from '../../oci/reference.ts';
import { type Converted, convert } from '../../operations/convert/convert.ts';
import type { ConvertFormat } from '../../operations/convert/content.ts';
import { isRemote } from '../../operations/transfer/copy.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { oneOf } from '../options/global.ts';
import { addLabelOption, locateByLabel, type LabelFlag } from '../options/label.ts';
import { addNetworkOptions, collect, type KitFlags } from '../options/network.ts';
import { formatBytes } from '../render/text.ts';

interface ConvertFlags extends FormatFlag, KitFlags, LabelFlag {
  readonly to?: string;
  readonly layerFormat?: string;
  readonly base?: string;
  readonly withModelpack?: boolean;
  readonly platform?: readonly string[];
  readonly strict?: boolean;
  readonly fromLocal?: boolean;
  readonly toLocal?: boolean;
}

const FORMATS = [...Object.keys(PACK_FORMATS), 'modelcar'] as ConvertFormat[];
const ENCODINGS: readonly Encoding[] = ['tar', 'raw'];

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addLabelOption(command)
        .argument(
          '<source>',
          'a name with a registry is in that registry, one without is in local storage; or oci:DIR[:tag], oci-archive:FILE[:tag]',
        )
        .argument('<destination>', 'the same')
        .option('--to <format>', `the format to write: ${FORMATS.join(', ')}`)
        .option(
          '--layer-format <format>',
          'tar or raw: layers that are in the other form are re-framed (default: they stay as they are where that is possible)',
        )
        .option('--base <image>', 'modelcar: the image to put the model on (default: none, for image volumes)')
        .option(
          '--platform <platform>',
          'modelcar: for example linux/amd64 (repeatable; default: all of the base, else linux/amd64 and linux/arm64)',
          collect,
        )
        .option('--with-modelpack', 'modelcar: an index that holds a ModelPack over the same layers too')
        .option('--strict', 'refuse what the format cannot carry in full')
        .option('--from-local', 'take the source from local storage, although its name has a registry')
        .option('--to-local', 'put the result into local storage, although its name has a registry'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (source: string, destination: string, flags: ConvertFlags) => run(source, destination, flags, await context()));
}

const EXAMPLES = `
Examples:
  kit convert mymodel:v1 mymodel:v1-pack --to modelpack                      layers are reused
  kit convert mymodel:v1 ghcr.io/team/mymodel:raw --to modelpack --layer-format raw
  kit convert --strict ghcr.io/team/mymodel:v1 ghcr.io/team/mymodel:docker --to docker-model
  kit convert ghcr.io/team/mymodel:v1 ghcr.io/team/mymodel:car --to modelcar --base docker.io/library/busybox:1.37
  kit convert ghcr.io/team/llama:8b ghcr.io/team/llama:car --label quantization=q4_0 --to modelcar
  kit convert oci:./layout:v1 mymodel:v1 --to modelkit`;

async function run(source: string, destination: string, flags: ConvertFlags, context: CliContext): Promise<void> {
  const { to, layerFormat, strict = false, fromLocal = false, toLocal = false } = flags;
  if (to === undefined) throw new KitError('USAGE', 'convert needs --to', { hint: `use one of ${FORMATS.join(', ')}` });
  const format = oneOf('--to', to, FORMATS);
  const stray = format === 'modelcar' ? layerFormat && '--layer-format' : modelcarFlag(flags);
  if (stray) throw new KitError('USAGE', `${stray} does not go with \`--to ${format}\``);
  const modelcar = {
    base: flags.base === undefined ? undefined : parseLocation(flags.base),
    withModelpack: flags.withModelpack === true,
    platforms: flags.platform,
  };
  const kit = context.kit(flags);
  const lookup = isRemote(parseLocation(source), fromLocal) ? 'remote' : 'local';
  const converted = await convert(
    kit,
    {
      source: await locateByLabel(kit, source, lookup, flags, context.call),
      destination: parseLocation(destination),
      to: format,
      modelcar,
      layerFormat: layerFormat === undefined ? undefined : oneOf('--layer-format', layerFormat, ENCODINGS),
      strict,
      fromLocal,
      toLocal,
    },
    context.call,
  );
  context.result(flags.format, converted, describe(converted));
}

function modelcarFlag({ base, withModelpack, platform }: ConvertFlags): string | undefined {
  if (base !== undefined) return '--base';
  if (withModelpack !== undefined) return '--with-modelpack';
  return platform === undefined ? undefined : '--platform';
}

function describe({ source, reference, digest, format, layers }: Converted): string[] {
  const reused = layers.filter((layer) => layer.reused);
  const made = layers.filter((layer) => !layer.reused);
  const bytes = (some: typeof layers): string => formatBytes(some.reduce((sum, { size }) => sum + size, 0));
  return [
    `Converting ${source} to ${reference} (${format})`,
    `Converted ${digest} (${reused.length} layers reused with ${bytes(reused)}, ${made.length} made with ${bytes(made)})`,
  ];
}
