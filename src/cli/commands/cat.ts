import type { Command } from 'commander';
import { EXIT, isKitError, KitError } from '../../errors.ts';
import { cat, type CatResult } from '../../operations/inspect/cat.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addLabelOption, locateByLabel, type LabelFlag } from '../options/label.ts';
import { addNetworkOptions, type KitFlags } from '../options/network.ts';
import { singleLine } from '../render/plain-text.ts';
import { writeStdoutBytes } from '../render/stdout-bytes.ts';
import { printMessage } from '../render/text.ts';

type Flags = KitFlags & LabelFlag & { readonly remote?: boolean; readonly verify?: boolean; readonly includeRemote?: boolean };

export function register(command: Command, context: OpenContext): void {
  addNetworkOptions(
    addLabelOption(command)
      .argument('<reference>', 'a ModelKit, ModelPack, image or other artifact; or oci:DIR[:tag], oci-archive:FILE[:tag]')
      .argument('<path>', 'a file in it; or a glob that one file matches; a name without a slash is looked for at any depth')
      .option('-r, --remote', 'look in the registry, not in local storage')
      .option('--verify', 'fetch the whole layer where only so its digest covers the file')
      .option('--include-remote', 'read a file that stays elsewhere (remotePath) there'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, path: string, flags: Flags) => run(reference, path, flags, await context()));
}

const EXAMPLES = `
A file that is a layer by itself, or that comes from a layer that is read whole, is checked against its digest: up to 16 MiB before the first
byte is printed, beyond that on the way (exit status 6 when it is wrong). A file out of a part of a large archive cannot be checked, which
is said on stderr; --verify fetches the archive first. A file that stays elsewhere (remotePath) is checked against the digest that was
recorded when the ModelKit was packed.

Examples:
  kit cat ghcr.io/team/mymodel:v1 config.json | jq .architectures
  kit cat mymodel:v1 docs/README.md
  kit cat ghcr.io/team/mymodel:v1 '*.gguf' > model.gguf
  kit cat --verify ghcr.io/team/mymodel:v1 tokenizer.json
  kit cat --include-remote ghcr.io/team/mymodel:v1 data/labels.csv | head`;

async function run(reference: string, path: string, flags: Flags, context: CliContext): Promise<void> {
  const { remote, verify, includeRemote } = flags;
  const kit = context.kit(flags);
  const lookup = remote === true ? 'remote' : 'local-first';
  const source = await locateByLabel(kit, reference, lookup, flags, context.call);
  let printed = 0;
  const write = async (bytes: Uint8Array): Promise<void> => {
    context.progressStop();
    await writeStdoutBytes(bytes).catch(leaveQuietly);
    printed += bytes.byteLength;
  };
  try {
    const args = { source, path, verify: verify === true, includeRemote: includeRemote === true, lookup } as const;
    const { file, verified } = await cat(kit, args, write, context.call);
    if (!verified) printMessage(`${singleLine(file.path)} was not checked: ${whyUnchecked(file)}`);
  } catch (error) {
    if (printed === 0 || !isKitError(error)) throw error;
    throw new KitError(error.code, `${error.message}; ${printed} bytes were printed before`, {
      cause: error,
      hint: 'what was printed is not the file: throw it away',
    });
  }
}

function whyUnchecked({ layer, remote }: CatResult['file']): string {
  if (layer === undefined) return `no digest was recorded of what is at ${singleLine(remote ?? '')}`;
  return `no digest covers a part of layer ${layer}; \`--verify\` fetches all of it`;
}

// `kit cat ... | head` is no failure of ours
function leaveQuietly(error: unknown): never {
  const cause = error instanceof Error ? error.cause : undefined;
  if ((cause as NodeJS.ErrnoException | undefined)?.code === 'EPIPE') process.exit(EXIT.failure);
  throw error;
}
