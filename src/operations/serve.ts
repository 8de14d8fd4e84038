import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { asPathError } from '../blobs/path-error.ts';
import { KitError } from '../errors.ts';
import type { CallOptions } from '../events.ts';
import { formatLocation, type Location } from '../oci/reference.ts';
import { authenticator, hashPassword, parseHtpasswd, type Users } from '../server/authenticate.ts';
import type { ServedContent } from '../server/content.ts';
import { layoutContent } from '../server/layout-content.ts';
import { startServer } from '../server/server.ts';
import { storeContent } from '../server/store-content.ts';
import { openLayout } from '../targets/layout.ts';
import type { Kit } from './kit.ts';

export interface ServeArguments {
  /** An image layout, made where there is none; the store unless told. */
  readonly location?: Location;
  /** `HOST:PORT`, `:PORT` for every address of this machine; port 0 takes a free one. */
  readonly address: string;
  readonly readOnly?: boolean;
  /** An htpasswd file with bcrypt hashes. */
  readonly authFile?: string | undefined;
  /** One user more. */
  readonly credentials?: { readonly username: string; readonly password: string } | undefined;
  /** PEM files: https. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string } | undefined;
}

export interface Serving {
  /** What is served: `local storage` or `oci:DIR`. */
  readonly target: string;
  /** As the server listens, with the real port. */
  readonly address: string;
  readonly url: string;
  /** Ends what is under way, for ten seconds at most, and stops. */
  close(): Promise<void>;
}

/** Serves the store or an image layout as an OCI registry, until `close`. @throws KitError */
export async function serve(kit: Kit, args: ServeArguments, call: CallOptions = {}): Promise<Serving> {
  const { host, port } = parseAddress(args.address);
  const users = await readUsers(args);
  const tls = args.tls === undefined ? undefined : { cert: await readText(args.tls.certFile), key: await readText(args.tls.keyFile) };
  const content = await openContent(kit, args);
  const authenticate = users === undefined ? undefined : authenticator(users);
  const server = await startServer(content, { host, port, isReadOnly: args.readOnly ?? false, authenticate, tls, onEvent: call.onEvent });
  for (const message of exposures(server.url, host, users, tls !== undefined))
    call.onEvent?.({ type: 'warning', code: 'SERVER_EXPOSED', message });
  const address = server.url.replace(/^\w+:\/\//, '');
  return { target: content.name, address, url: server.url, close: () => server.close() };
}

async function openContent(kit: Kit, { location, readOnly = false }: ServeArguments): Promise<ServedContent> {
  if (location === undefined) return storeContent(await kit.store());
  if (location.type === 'layout' && location.reference === undefined) {
    const layout = await openLayout(location.path, { create: !readOnly });
    await layout.make();
    return layoutContent(layout);
  }
  throw new KitError(
    'USAGE',
    `${formatLocation(location)} cannot be served: name an image layout as oci:DIR, or nothing for local storage`,
  );
}

/** @throws KitError USAGE */
function parseAddress(text: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]/\s]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535)
    throw new KitError('USAGE', `invalid address \`${text}\` for --addr`, { hint: 'write HOST:PORT, for example 127.0.0.1:5000 or :5000' });
  return { host: bracketed ?? (plain === undefined || plain === '' ? '::' : plain), port };
}

async function readUsers({ authFile, credentials }: ServeArguments): Promise<Users | undefined> {
  if (authFile === undefined && credentials === undefined) return undefined;
  const users = new Map(authFile === undefined ? [] : parseHtpasswd(await readText(authFile), authFile));
  if (credentials !== undefined) users.set(credentials.username, await hashPassword(credentials.password));
  return users;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw asPathError(error, path);
  }
}

/** What others on the network could do to this server. */
function exposures(url: string, host: string, users: Users | undefined, isEncrypted: boolean): string[] {
  if (host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))) return [];
  if (users === undefined) return [`whoever reaches ${url} may use it: --auth-file asks for a password`];
  return isEncrypted ? [] : [`passwords travel to ${url} in the clear: --tls-cert and --tls-key encrypt them`];
}
