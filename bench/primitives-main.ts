import { measurePrimitives } from "./primitives.js";

/** `primitives-main IMAGE WORK_FOLDER` prints the image's `Primitives` as JSON. */
const [image, workFolder] = process.argv.slice(2);
if (image === undefined || workFolder === undefined)
  throw new Error("usage: primitives-main IMAGE WORK_FOLDER");
process.stdout.write(JSON.stringify(await measurePrimitives(image, workFolder)));
