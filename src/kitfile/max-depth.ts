/** The deepest nesting of a Kitfile. Bounds the recursion of everything that walks one. */
export const MAX_DEPTH = 100;
