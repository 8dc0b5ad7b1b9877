import type { Image, InstanceTypeInfo } from "@aws-sdk/client-ec2";
import { usage } from "../../command-line/options.js";
import type { BlockferryError } from "../../foundation/blockferry-error.js";
import type { Instance } from "../../repository/instance.js";

/**
 * Checks that the restored root can boot with the image's settings on the instance type.
 * AWS: "Instance launch behavior with Amazon EC2 boot modes".
 * @throws Usage
 */
export function checkBoots(
  { architecture, bootMode }: Instance,
  image: Image | undefined,
  type: InstanceTypeInfo | undefined,
): void {
  const { ImageId = "", Architecture, BootMode } = image ?? {};
  if (Architecture !== undefined && Architecture !== architecture)
    throw wontBoot(architecture, `image ${ImageId} is for ${Architecture}`, "--ami");
  const architectures: string[] = type?.ProcessorInfo?.SupportedArchitectures ?? [];
  if (architectures.length > 0 && !architectures.includes(architecture))
    throw wontBoot(
      architecture,
      `type ${type?.InstanceType} is ${architectures.join(", ")}`,
      "--instance-type",
    );
  const isKnown = bootMode !== null && BootMode !== undefined && BootMode !== "uefi-preferred";
  if (isKnown && bootMode !== "uefi-preferred" && BootMode !== bootMode)
    throw wontBoot(bootMode, `image ${ImageId} boots by ${BootMode}`, "--ami");
}

function wontBoot(recorded: string, what: string, option: string): BlockferryError {
  return usage(
    `The instance that was backed up was ${recorded}, and ${what}: the restored root volume would not start.`,
    `Name another one with ${option}.`,
  );
}
