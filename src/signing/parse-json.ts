import type { z } from 'zod';
import { notAccepted } from './requirement.ts';

/** @param what how the reason names it: `its payload` @throws KitError SIGNATURE_INVALID */
export function parseJson<T>(schema: z.ZodType<T>, bytes: Uint8Array, what: string): T {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw notAccepted(`${what} is not JSON`, cause);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw notAccepted(`${what} is malformed: \`${issue?.path.join('.') ?? ''}\`: ${issue?.message ?? 'invalid'}`, result.error);
}
