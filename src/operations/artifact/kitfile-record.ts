import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asPathError } from '../../blobs/path-error.ts';
import type { CallOptions } from '../../events.ts';
import { type Digest, digestHex } from '../../oci/digest.ts';
import type { Kit } from '../kit.ts';
import { keepRecord } from './keep-record.ts';

function pathOf(kit: Kit, config: Digest): string {
  return join(kit.home, 'kitfiles', digestHex(config));
}

/** Keeps the text that a config was made from: a config has no room for comments and formatting. */
export async function rememberKitfile(kit: Kit, config: Digest, text: string, { onEvent }: CallOptions): Promise<void> {
  const path = pathOf(kit, config);
  try {
    await keepRecord(path, text);
  } catch (error) {
    // the ModelKit itself is complete
    const { message } = asPathError(error, path);
    onEvent?.({ type: 'warning', code: 'KITFILE_RECORD', message: `unpacking will not bring back the Kitfile's comments: ${message}` });
  }
}

/** The text, where this machine packed the config; whoever uses it checks that it says the same. */
export async function recallKitfile(kit: Kit, config: Digest): Promise<string | undefined> {
  return await readFile(pathOf(kit, config), 'utf8').catch(() => undefined);
}
