import * as z from 'zod';

const authEntry = z.looseObject({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
  registrytoken: z.string().optional(),
});
const dockerConfig = z.looseObject({
  auths: z.record(z.string(), authEntry.nullable()).nullish(),
  credsStore: z.string().nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
});

/** The part of Docker's config.json that holds credentials. Other fields are kept. */
export type DockerConfig = z.infer<typeof dockerConfig>;
export type AuthEntry = z.infer<typeof authEntry>;

/** `refuse` gets the name of the field that is wrong. */
export function parseFields(value: unknown, refuse: (field: string) => never): DockerConfig {
  const result = dockerConfig.safeParse(value);
  return result.success ? result.data : refuse(result.error.issues[0]?.path.join('.') ?? '');
}
