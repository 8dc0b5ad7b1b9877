import * as z from "zod/mini";

/**
 * The results of both programs with `--json` have schemas, which stand in the files `outputs.ts` and
 * `*-outputs.ts`. The programs import only their types, so that schemas cost them no time. Tests parse real output
 * with them, and `scripts/json-reference.js` makes the reference of them.
 */

/** A value as a program prints it: the schema's type, of which nothing is changed. */
export type Printed<Schema extends z.ZodMiniType> = DeepReadonly<z.infer<Schema>>;

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Name in keyof T]: DeepReadonly<T[Name]> }
    : T;

/** Describes a field: its unit, its meaning, and when it is null or absent. */
export function field<Schema extends z.ZodMiniType>(text: string, schema: Schema): Schema {
  return schema.check(z.describe(text)) as Schema;
}

type Shape = Record<string, z.ZodMiniType>;
type Descriptions<Fields> = { [Name in keyof Fields]: string | z.ZodMiniType };
type Described<Fields extends Shape, Given extends Descriptions<Fields>> = {
  [Name in keyof Fields]: Given[Name] extends z.ZodMiniType ? Given[Name] : Fields[Name];
};

/**
 * Returns the schema of a document as that of an output.
 * @param given for each field its description, or a schema in its place: a described form of the same type
 */
export function described<Fields extends Shape, const Given extends Descriptions<Fields>>(
  { shape }: { shape: Fields },
  given: Given,
): z.ZodMiniObject<Described<Fields, Given>, z.core.$strict> {
  const fields = Object.entries(shape).map(([name, schema]) => {
    const text = given[name] as string | z.ZodMiniType;
    return [name, typeof text === "string" ? field(text, schema) : text];
  });
  return z.strictObject(Object.fromEntries(fields) as Described<Fields, Given>);
}

/** Gives a schema a name of its own in the reference: other schemas refer to it. */
export function named<Schema extends z.ZodMiniType>(id: string, text: string, schema: Schema): Schema {
  z.globalRegistry.add(schema, { id, description: text });
  return schema;
}
