import { stat, writeFile } from 'node:fs/promises';
import { asPathError } from '../blobs/path-error.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { KITFILE_NAMES } from '../kitfile/parse.ts';
import { printKitfile } from '../kitfile/print.ts';
import type { Kitfile } from '../kitfile/types.ts';
import { describeRemote } from './import.ts';
import type { ImportFilter } from './import-filter.ts';
import type { InitResult } from './init.ts';
import type { Kit } from './kit.ts';

export interface InitRemoteArguments extends ImportFilter {
  /** As `importModel` takes it. */
  readonly source: string;
  readonly revision?: string | undefined;
  readonly token?: string | undefined;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly author?: string | undefined;
  /** The file to write; default: `Kitfile` here. `-` writes none. */
  readonly output?: string | undefined;
  /** Replaces a file that is there. */
  readonly force?: boolean;
}

/** Writes the Kitfile that importing would make, and fetches none of the weights. @throws KitError PATH_EXISTS and those of importModel */
export async function initRemote(kit: Kit, args: InitRemoteArguments, call: CallOptions = {}): Promise<InitResult> {
  const path = args.output ?? KITFILE_NAMES[0];
  const isFile = path !== '-';
  if (isFile && args.force !== true && (await stat(path).catch(() => undefined)) !== undefined)
    throw new KitError('PATH_EXISTS', `Kitfile already exists at ${path}`, {
      hint: 'use `--force` to overwrite it, or `--output` for another name',
    });
  const kitfile = withDetails(await describeRemote(kit, args, call), args);
  const text = printKitfile(kitfile);
  if (isFile) {
    await writeFile(path, text).catch((error: unknown) => {
      throw asPathError(error, path);
    });
  }
  return { path, kitfile, text };
}

function withDetails(kitfile: Kitfile, { name, description, author }: InitRemoteArguments): Kitfile {
  const given = { ...(name && { name }), ...(description && { description }), ...(author && { authors: [author] }) };
  return { ...kitfile, package: { ...kitfile.package, ...given } };
}
