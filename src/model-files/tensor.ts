import { beyondLimit } from './refusal.ts';

/** One tensor as a header declares it. */
export interface Tensor {
  readonly name: string;
  /** As the format calls it: `BF16`, `Q4_K`, `FLOAT`. */
  readonly dtype: string;
  /** In the order of the file: GGUF begins with the dimension that changes fastest. */
  readonly shape: readonly number[];
  /** Elements: the product of the shape. */
  readonly parameters: number;
  /** Bytes of its data; undefined for a type whose size is not known here. */
  readonly bytes: number | undefined;
}

/** More tensors in one file, or in one model, are refused; the largest models have about 150,000. */
export const MAX_TENSORS = 500_000;
/** Bytes that the name of a tensor may have. */
export const MAX_NAME_BYTES = 4096;
export const MAX_DIMENSIONS = 64;

/** The product of the shape; undefined where it is not exact. */
export function elementsOf(shape: readonly number[]): number | undefined {
  if (shape.includes(0)) return 0;
  let product = 1;
  for (const dimension of shape) {
    product *= dimension;
    if (!Number.isSafeInteger(product)) return undefined;
  }
  return product;
}

/** @throws KitError LIMIT_EXCEEDED */
export function checkTensorCount(name: string, offset: number | undefined, count: number): void {
  if (count > MAX_TENSORS) throw beyondLimit(name, offset, `${count} tensors, the limit is ${MAX_TENSORS}`);
}
