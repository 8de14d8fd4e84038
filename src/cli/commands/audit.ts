import type { Command } from 'commander';
import { writeFile } from 'node:fs/promises';
import { asPathError } from '../../blobs/path-error.ts';
import { stringifyExact } from '../../oci/json.ts';
import { parseLocation } from '../../oci/reference.ts';
import { audit } from '../../operations/audit/audit.ts';
import type { AuditReport } from '../../operations/audit/report.ts';
import type { CliContext, OpenContext } from '../context.ts';
import { addFormatOption, type FormatFlag } from '../options/format.ts';
import {
  addSignerNetworkOptions,
  addVerifyOptions,
  networkFlags,
  openVerifier,
  strayVerifyFlag,
  type VerifyFlags,
} from '../options/signing.ts';
import { printMessage } from '../render/text.ts';

interface Flags extends FormatFlag, VerifyFlags {
  readonly remote?: boolean;
  readonly output?: string;
}

export function register(command: Command, context: OpenContext): void {
  addFormatOption(
    command
      .argument('<reference>', '[registry/]repository[:tag][@digest], oci:DIR[:tag], or oci-archive:FILE[:tag]')
      .option('-o, --output <file>', 'write it to a file, not to standard output')
      .option('-r, --remote', 'look in the registry, not in local storage: signatures are there after `kit pull`')
      .option('--key <file>', 'public key whose signatures count; without it or an identity nothing is verified'),
  );
  addSignerNetworkOptions(addVerifyOptions(command))
    .addHelpText('after', EXAMPLES)
    .action(async (reference: string, flags: Flags) => run(reference, flags, await context()));
}

const EXAMPLES = `
One export for the files of an auditor: manifest, Kitfile and layers; who packed, signed, attested and promoted it, from what, when; SBOMs,
provenance and lineage. Each fact names its source by digest and whether it is verified or only claimed; what is missing is listed.
No layer is read. The schema: docs/audit.schema.json. A report is not a verdict: it ends with 0 also where nothing is signed.

Examples:
  kit audit --remote ghcr.io/team/mymodel:v1 --key cosign.pub --format json -o mymodel-v1.audit.json
  kit audit --remote ghcr.io/team/mymodel:v1 --certificate-identity ... --certificate-oidc-issuer ...
  kit audit mymodel:v1 --format json | jq '.missing[].fact'`;

async function run(reference: string, flags: Flags, context: CliContext): Promise<void> {
  const { key, remote, output, format } = flags;
  const verifier = key === undefined && strayVerifyFlag(flags) === undefined ? undefined : await openVerifier(flags, context.env, 'audit');
  const lookup = remote === true ? 'remote' : 'local-first';
  const report = await audit(context.kit(networkFlags(flags)), { location: parseLocation(reference), verifier, lookup }, context.call);
  const lines = await draw(format, report);
  if (output === undefined) context.result('text', undefined, lines);
  else {
    await write(output, `${lines.join('\n')}\n`);
    context.result('text', undefined, []);
    printMessage(`Wrote the audit of ${report.digest} to ${output}`);
  }
}

async function draw(format: string, report: AuditReport): Promise<string[]> {
  if (format === 'json') return [stringifyExact(report, 2)];
  const { auditLines } = await import('../render/audit-text.ts');
  return auditLines(report);
}

async function write(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text);
  } catch (error) {
    throw asPathError(error, path);
  }
}
