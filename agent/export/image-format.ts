/** Formats of an exported image, with their names in qemu-img(1). */
export const IMAGE_FORMATS = ["raw", "qcow2", "vmdk"] as const;

export type ImageFormat = (typeof IMAGE_FORMATS)[number];
