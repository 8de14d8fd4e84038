import type { Command } from 'commander';
import { files, type FilesResult } from '../../operations/inspect/files.ts';
import type { ListedFile } from '../../operations/remote-content/listed.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import { addLabelOption, locateByLabel, type LabelFlag } from '../options/label.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';
import { singleLine } from '../render/plain-text.ts';
import { formatBytes, formatTable, printMessage } from '../render/text.ts';

type Flags = FormatFlag & KitFlags & LabelFlag & { readonly remote?: boolean; readonly digests?: boolean; readonly download: boolean };

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addFormatOption(
      addLabelOption(command)
        .argument('<reference>', 'a ModelKit, ModelPack, image or other artifact; or oci:DIR[:tag], oci-archive:FILE[:tag]')
        .argument('[patterns...]', 'paths, folders or globs; one without a slash applies to names at any depth')
        .option('-r, --remote', 'look in the registry, not in local storage')
        .option('--digests', 'show the digests of files where they are known: of layers that are one file, or that are read whole')
        .option('--no-download', 'fail rather than fetch a compressed layer to list it'),
    ),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, patterns: string[], flags: Flags) => run(reference, patterns, flags, await context()));
}

const EXAMPLES = `
Nothing is unpacked. Files that are layers by themselves are listed in the manifest; of large uncompressed archives only the headers are
fetched; a compressed layer has to be fetched whole. Of content that stays elsewhere (remotePath) the list shows what was recorded.

Examples:
  kit files mymodel:v1
  kit files --remote ghcr.io/team/mymodel:v1 '*.safetensors' config.json
  kit files ghcr.io/team/mymodel:v1 --format json | jq -r '.files[] | select(.size > 1e9).path'
  kit files oci:./layout:v1 docs/ --digests`;

async function run(reference: string, patterns: readonly string[], flags: Flags, context: CliContext): Promise<void> {
  const { remote, download, format } = flags;
  const kit = context.kit(flags);
  const lookup = remote === true ? 'remote' : 'local-first';
  const result = await files(
    kit,
    {
      source: await locateByLabel(kit, reference, lookup, flags, context.call),
      patterns,
      download,
      digests: flags.digests === true,
      lookup,
    },
    context.call,
  );
  context.result(format, result, format === 'json' ? [] : table(result, flags.digests === true));
  if (format !== 'json') for (const line of remarks(result)) printMessage(line);
}

function table({ files: list, layers }: FilesResult, withDigests: boolean): string[] {
  const names = new Map(
    layers.map(({ digest, role }) => [digest, `${role === 'file' ? 'layer' : role} ${digest.slice(digest.indexOf(':') + 1).slice(0, 12)}`]),
  );
  const head = ['MODE', 'SIZE', 'LAYER', ...(withDigests ? ['DIGEST'] : []), 'PATH'];
  const rows = list.map((file) => [
    modeText(file),
    file.type === 'file' ? (file.size === undefined ? '?' : formatBytes(file.size)) : '-',
    file.layer === undefined ? 'elsewhere' : (names.get(file.layer) ?? file.layer),
    ...(withDigests ? [file.digest ?? '-'] : []),
    [
      singleLine(file.path) + (NOTES[file.type] ?? ''),
      ...(file.remote === undefined
        ? []
        : [`(at ${singleLine(file.remote)}${file.size === undefined ? '; what is there was not recorded' : ''})`]),
      ...(file.unsafe === undefined ? [] : [`(unsafe: ${file.unsafe})`]),
    ].join(' '),
  ]);
  return formatTable([head, ...rows]);
}

const LETTERS: Readonly<Partial<Record<ListedFile['type'], string>>> = {
  directory: 'd',
  'symbolic link': 'l',
  'hard link': 'h',
  'character device': 'c',
  'block device': 'b',
  'named pipe': 'p',
  'entry of unknown type': '?',
};
const NOTES: Readonly<Partial<Record<ListedFile['type'], string>>> = {
  directory: '/',
  whiteout: ' (removed)',
  opaque: '/ (all below removed)',
};

/** As `ls -l` shows it. */
function modeText({ type, mode }: ListedFile): string {
  if (type === 'whiteout' || type === 'opaque') return '-';
  const bits = [6, 3, 0].map((shift) =>
    ['r', 'w', 'x'].map((letter, at) => (((mode >> (shift + 2 - at)) & 1) === 1 ? letter : '-')).join(''),
  );
  return (LETTERS[type] ?? '-') + bits.join('');
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function remarks({ reference, files: list, layers, bases }: FilesResult): string[] {
  const sum = (of: (layer: FilesResult['layers'][number]) => number): number => layers.reduce((total, layer) => total + of(layer), 0);
  const elsewhere = list.filter(({ remote }) => remote !== undefined).length;
  const unchecked = layers.filter(({ checked }) => checked === 'nothing').length;
  return [
    ...bases.map((base) => `with the model of ${base}`),
    `${count(list.length - elsewhere, 'name')} in ${count(layers.length, 'layer')}; ${formatBytes(sum(({ read }) => read))} of ${formatBytes(sum(({ size }) => size))} were read`,
    ...(elsewhere === 0
      ? []
      : [`${count(elsewhere, 'name')} elsewhere, as recorded: \`kit unpack ${reference} --include-remote\` fetches what is there`]),
    ...(unchecked === 0 ? [] : [`of ${count(unchecked, 'layer')} only the headers were read, which no digest covers`]),
  ];
}
