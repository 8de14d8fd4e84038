import { setTimeout } from 'node:timers/promises';
import * as z from 'zod';
import { KitError } from '../errors.ts';
import { plainText } from '../registry/redact.ts';
import { discover, type OpenIdOptions, requestToken, startDevice } from './open-id.ts';

const deviceSchema = z.looseObject({
  device_code: z.string().min(1),
  user_code: z.string().min(1),
  verification_uri: z.url(),
  verification_uri_complete: z.url().optional(),
  expires_in: z.number().positive(),
  interval: z.number().positive().optional(),
});
const GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

/** An identity token by a code that the user enters in a browser anywhere (RFC 8628). @throws KitError IDENTITY_FAILED | SERVICE_FAILED | NETWORK */
export async function deviceToken(options: OpenIdOptions): Promise<string> {
  const { signal, tell, issuer } = options;
  const session = await discover(options);
  const parsed = deviceSchema.safeParse(await startDevice(session, signal));
  if (!parsed.success) throw new KitError('SERVICE_FAILED', `${issuer} did not start the device flow`);
  const {
    device_code: code,
    user_code: userCode,
    verification_uri: page,
    verification_uri_complete: full,
    expires_in: seconds,
    interval = 5,
  } = parsed.data;
  tell(`open ${plainText(full ?? page)} in a browser, and enter the code ${plainText(userCode)} if it asks for one`);
  const end = performance.now() + seconds * 1000;
  let waitMs = interval * 1000;
  while (performance.now() < end) {
    await setTimeout(waitMs, undefined, { signal });
    const reply = await requestToken(session, { grant_type: GRANT, device_code: code }, signal);
    if ('token' in reply) return reply.token;
    if (reply.error === 'slow_down') waitMs += 5000;
    else if (reply.error !== 'authorization_pending')
      throw new KitError('IDENTITY_FAILED', `${issuer} gave no identity token: ${reply.description}`);
  }
  throw new KitError('IDENTITY_FAILED', `nobody entered the code within ${Math.round(seconds / 60)} minutes`, {
    hint: 'run the command again',
  });
}
