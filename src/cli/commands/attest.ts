import type { Command } from 'commander';
import { open } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { asPathError } from '../../blobs/path-error.ts';
import { KitError } from '../../errors.ts';
import type { SignatureFormat } from '../../operations/sign/attach-signed.ts';
import { attest } from '../../operations/sign/attest.ts';
import { parseLocation } from '../../oci/reference.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import {
  addSignatureFormatOption,
  addSignOptions,
  addSignerNetworkOptions,
  networkFlags,
  openSigner,
  type SignFlags,
} from '../options/signing.ts';
import { describePlaces, withoutBundle, writeBundle } from './sign.ts';

interface Flags extends FormatFlag, SignFlags {
  readonly type?: string;
  readonly predicate?: string;
  readonly signatureFormat: SignatureFormat;
  readonly bundle?: string;
  readonly upload: boolean;
  readonly local?: boolean;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .argument('<reference>', '[registry/]repository[:tag][@digest], or oci:DIR[:tag]')
      .option('--key <file>', "private key: cosign's file, a PEM file, env://NAME, or hashivault://KEY and the like")
      .option('--type <type>', 'slsaprovenance, slsaprovenance1, link, spdx, spdxjson, cyclonedx, vuln, openvex, custom, or a URI')
      .option('--predicate <file>', 'what is attested: a JSON file, or - for standard input'),
  );
  addSignOptions(addSignatureFormatOption(command))
    .option('--bundle <file>', 'write the sigstore bundle to a file too')
    .option('--no-upload', 'put nothing beside the artifact; needs --bundle')
    .option('--local', 'attest the artifact in local storage, though its name has a registry');
  addSignerNetworkOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
The predicate becomes an in-toto statement about the digest of the manifest, signed with the key. \`--type custom\` takes any
text, all others a JSON object. Attesting again adds an attestation.

Examples:
  kit attest ghcr.io/team/mymodel:v1 --key cosign.key --type slsaprovenance1 --predicate provenance.json
  kit attest ghcr.io/team/mymodel:v1 --key cosign.key --type https://example.com/eval/v1 --predicate eval.json`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { type, predicate, bundle, upload, local, signatureFormat } = flags;
  if (type === undefined || predicate === undefined) {
    throw new KitError('USAGE', `attest needs ${type === undefined ? '--type' : '--predicate'}`, {
      hint: 'for example `--type slsaprovenance1 --predicate provenance.json`',
    });
  }
  if (!upload && bundle === undefined)
    throw new KitError('USAGE', '--no-upload needs --bundle', { hint: 'name the file that the attestation goes to' });
  const result = await attest(
    context.kit(networkFlags(flags)),
    {
      location: parseLocation(reference),
      type,
      predicate: await readPredicate(predicate),
      signer: await openSigner(flags, context.env, { signal: context.call.signal }),
      format: signatureFormat,
      upload,
      local: local === true,
    },
    context.call,
  );
  if (bundle !== undefined) await writeBundle(bundle, result.bundle);
  context.result(flags.format, withoutBundle(result), [`Attested ${result.digest} (${result.predicateType})${describePlaces(result)}`]);
}

/** A statement is read as a whole by everyone who verifies it. */
const MAX_PREDICATE_BYTES = 16 * 1024 * 1024;

async function readPredicate(path: string): Promise<{ text: string; file: string }> {
  const text = path === '-' ? await readAll(process.stdin) : await readFile(path);
  return { text, file: path === '-' ? 'standard input' : path };
}

async function readFile(path: string): Promise<string> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    if (size > MAX_PREDICATE_BYTES)
      throw new KitError('LIMIT_EXCEEDED', `${path}: ${size} bytes, the limit for a predicate is ${MAX_PREDICATE_BYTES}`);
    return await file.readFile('utf8');
  } catch (error) {
    throw asPathError(error, path);
  }
}
