type Present<T> = T extends readonly (infer Item)[]
  ? Present<Item>[]
  : T extends object
    ? { [Key in keyof T]: Present<Exclude<T[Key], undefined>> }
    : T;

/** The fields of objects and lists of objects that have a value; what is not a field of the schema (`parameters`) stays as it is. */
export function withoutUndefined<T>(value: T): Present<T> {
  if (Array.isArray(value)) return value.map((item: unknown) => withoutUndefined(item)) as Present<T>;
  if (typeof value !== 'object' || value === null) return value as Present<T>;
  const entries = Object.entries(value).flatMap(([key, item]: [string, unknown]) => {
    if (item === undefined) return [];
    return [[key, key === 'parameters' ? item : withoutUndefined(item)] as const];
  });
  return Object.fromEntries(entries) as Present<T>;
}
