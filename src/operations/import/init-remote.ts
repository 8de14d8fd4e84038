import type { CallOptions } from '../../events.ts';
import type { Kitfile } from '../../kitfile/types.ts';
import { describeRemote } from './import.ts';
import type { ImportFilter } from '../import-source/filter.ts';
import { type InitResult, saveKitfile } from '../pack/init.ts';
import type { Kit } from '../kit.ts';

export interface InitRemoteArguments extends ImportFilter {
  /** As `importModel` takes it. */
  readonly source: string;
  readonly revision?: string | undefined;
  readonly token?: string | undefined;
  /** How deep directories are looked into, as generateKitfile takes it. */
  readonly depth?: number | undefined;
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly author?: string | undefined;
  /** The file to write; default: `-`, which writes none. */
  readonly output?: string | undefined;
  /** Replaces a file that is there. */
  readonly force?: boolean;
}

/** Writes the Kitfile that importing would make, and fetches none of the weights. @throws KitError PATH_EXISTS and those of importModel */
export async function initRemote(kit: Kit, args: InitRemoteArguments, call: CallOptions = {}): Promise<InitResult> {
  return await saveKitfile(args.output ?? '-', args.force === true, async () => withDetails(await describeRemote(kit, args, call), args));
}

function withDetails(kitfile: Kitfile, { name, description, author }: InitRemoteArguments): Kitfile {
  const given = { ...(name && { name }), ...(description && { description }), ...(author && { authors: [author] }) };
  return { ...kitfile, package: { ...kitfile.package, ...given } };
}
