/** Formats of an exported image, as qemu-img(1) names them. */
export const IMAGE_FORMATS = ["raw", "qcow2", "vmdk"] as const;

export type ImageFormat = (typeof IMAGE_FORMATS)[number];
