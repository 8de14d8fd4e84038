import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { KitError } from '../errors.ts';
import { DistributionError } from './distribution-error.ts';

const BCRYPT = /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/;
/** Checking a password takes a processor for a while: so many may wait for it. */
const MAX_WAITING = 64;
/** Credentials that were found right, so that they need not be checked at each request. */
const MAX_REMEMBERED = 1024;

/** Says whether a request comes from a user. @throws DistributionError when it does not */
export type Authenticate = (request: IncomingMessage) => Promise<void>;

/** Password hashes (bcrypt) by user name. */
export type Users = ReadonlyMap<string, string>;

/** The text of an htpasswd file. @throws KitError CONFIG_INVALID naming `file` and the line, never what stands there */
export function parseHtpasswd(text: string, file: string): Users {
  const users = new Map<string, string>();
  for (const [index, line] of text.split('\n').entries()) {
    const entry = line.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const colon = entry.indexOf(':');
    const hash = entry.slice(colon + 1);
    if (colon < 1 || !BCRYPT.test(hash)) {
      throw new KitError('CONFIG_INVALID', `${file}:${index + 1}: not a user with a bcrypt hash`, {
        hint: 'make the line with `htpasswd -nB USER`',
      });
    }
    users.set(entry.slice(0, colon), hash);
  }
  if (users.size === 0) throw new KitError('CONFIG_INVALID', `${file} names no user`, { hint: 'add one with `htpasswd -B`' });
  return users;
}

/** The hash that stands for one password, for users that are not in a file. */
export async function hashPassword(password: string): Promise<string> {
  const { hash } = await import('bcryptjs');
  return await hash(password, 10);
}

/** Basic authentication (RFC 7617). */
export function authenticator(users: Users): Authenticate {
  // what is remembered is of no use to who reads our memory
  const secret = randomBytes(32);
  const known = new Set<string>();
  let waiting = 0;
  let queue: Promise<unknown> = Promise.resolve();
  const [anyHash = ''] = users.values();

  return async ({ headers: { authorization } }) => {
    if (authorization === undefined) throw unauthorized();
    const mark = createHash('sha256').update(secret).update(authorization).digest('base64');
    if (known.has(mark)) return;
    const credentials = readBasic(authorization);
    if (credentials === undefined) throw unauthorized();
    if (waiting >= MAX_WAITING) throw new DistributionError(429, 'TOOMANYREQUESTS', 'too many logins at a time', { 'Retry-After': '5' });
    waiting += 1;
    const hash = users.get(credentials.user);
    // an unknown user takes as long as a wrong password
    const check = queue.then(() => verify(credentials.password, hash ?? anyHash));
    queue = check.catch(() => undefined);
    const isRight = await check.finally(() => (waiting -= 1));
    if (!isRight || hash === undefined) throw unauthorized();
    if (known.size >= MAX_REMEMBERED) known.clear();
    known.add(mark);
  };
}

async function verify(password: string, hash: string): Promise<boolean> {
  const { compare } = await import('bcryptjs');
  return await compare(password, hash);
}

function readBasic(authorization: string): { readonly user: string; readonly password: string } | undefined {
  const [, encoded] = /^basic ([A-Za-z0-9+/]+=*)$/i.exec(authorization) ?? [];
  const text = Buffer.from(encoded ?? '', 'base64').toString();
  const colon = text.indexOf(':');
  return colon === -1 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function unauthorized(): DistributionError {
  return new DistributionError(401, 'UNAUTHORIZED', 'authentication required', { 'WWW-Authenticate': 'Basic realm="kit serve"' });
}
