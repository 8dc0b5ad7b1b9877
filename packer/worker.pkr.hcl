# The worker AMI. Its instances run the jobs of the controller; see docs/how-to/worker-image.md.
#
#   npm pack --pack-destination packer && packer init packer
#   packer build -var region=eu-central-1 -var package=packer/blockferry-0.1.0.tgz packer

packer {
  required_version = ">= 1.10.0"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.2.9"
    }
  }
}

variable "region" {
  type        = string
  description = "Region that the AMI is built in."
  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "The region must be the name of a Region, such as eu-central-1."
  }
}

variable "package" {
  type        = string
  description = "What `npm pack` made: blockferry-VERSION.tgz."
  validation {
    condition     = can(regex("blockferry-[0-9][^/]*[.]tgz$", var.package))
    error_message = "The package must be a blockferry-VERSION.tgz, as npm pack makes it."
  }
}

variable "base" {
  type        = string
  default     = "al2023"
  description = "What the AMI is built on: al2023 (Amazon Linux 2023) or debian12."
  validation {
    condition     = contains(["al2023", "debian12"], var.base)
    error_message = "The base must be al2023 or debian12."
  }
}

variable "architecture" {
  type        = string
  default     = "x86_64"
  description = "x86_64 or arm64 (Graviton)."
  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "The architecture must be x86_64 or arm64."
  }
}

variable "instance_type" {
  type        = string
  default     = ""
  description = "Type of the instance that builds. Default: c7i.large, or c7g.large for arm64."
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "Subnet that the AMI is built in; it needs a way to the package registries. Default: one of the default VPC."
}

variable "ssh_interface" {
  type        = string
  default     = ""
  description = "How Packer reaches the instance that builds: public_ip, private_ip or session_manager. Default: whichever it has."
}

variable "builder_profile" {
  type        = string
  default     = ""
  description = "Instance profile while it is built, which session_manager needs. The AMI has none."
}

variable "kms_key_id" {
  type        = string
  default     = ""
  description = "KMS key that the AMI is encrypted with. Default: the account's key for EBS, with which it cannot be shared."
  validation {
    condition     = !can(regex("alias/aws/", var.kms_key_id))
    error_message = "The kms_key_id must not be a key of AWS: leave it out for the account's key for EBS, or give one of your own."
  }
}

variable "share_accounts" {
  type        = list(string)
  default     = []
  description = "Accounts that may launch the AMI; the policy of kms_key_id must let them use the key."
  validation {
    condition     = length([for account in var.share_accounts : account if !can(regex("^[0-9]{12}$", account))]) == 0
    error_message = "Each of share_accounts must be an account id of 12 digits."
  }
}

variable "node_version" {
  type        = string
  default     = "24.21.0"
  description = "Version of Node.js, of the line 24 (LTS)."
  validation {
    condition     = can(regex("^24[.][0-9]+[.][0-9]+$", var.node_version))
    error_message = "The version of Node.js must be 24.x.y."
  }
}

variable "node_sha256" {
  type        = string
  default     = ""
  description = "SHA-256 of its archive for this architecture. Default: as SHASUMS256.txt beside the archive says."
  validation {
    condition     = can(regex("^([0-9a-f]{64})?$", var.node_sha256))
    error_message = "The SHA-256 must be 64 hexadecimal digits."
  }
}

variable "jobs" {
  type        = string
  default     = "backup-and-restore"
  description = "What the worker is for: backup-and-restore, or backup-only, which can write to no volume."
  validation {
    condition     = contains(["backup-and-restore", "backup-only"], var.jobs)
    error_message = "The jobs must be backup-and-restore or backup-only."
  }
}

variable "job_key" {
  type        = string
  default     = ""
  description = "ARN of the KMS key that jobs must be signed with. Default: jobs are not signed."
  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?$", var.job_key))
    error_message = "The job_key must be the ARN of a key itself, not of an alias."
  }
}

variable "reply_key" {
  type        = string
  default     = ""
  description = "ARN of the KMS key that heartbeats and results are signed with. Default: they are not signed."
  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?$", var.reply_key))
    error_message = "The reply_key must be the ARN of a key itself, not of an alias."
  }
}

variable "expect" {
  type        = string
  default     = ""
  description = "Repository that workers of the AMI serve: UUID, UUID:none or UUID:KEYCHECK. Default: any."
  validation {
    condition     = can(regex("^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(:(none|[0-9a-f]{64}))?)?$", var.expect))
    error_message = "The expect must be UUID, UUID:none or UUID:KEYCHECK, as blockferry-agent init prints it."
  }
}

variable "serve_options" {
  type        = string
  default     = ""
  description = "Options of `blockferry-agent serve` for all workers of the AMI, as \"--threads auto\"."
  validation {
    condition     = can(regex("^(--[a-z][A-Za-z0-9 ,./:=_@+-]*)?$", var.serve_options))
    error_message = "The serve_options must be options as they are typed, without quotes and other characters of a shell."
  }
  validation {
    condition     = !can(regex("--job-key", var.serve_options))
    error_message = "The --job-key of serve_options has a variable of its own: job_key."
  }
  validation {
    condition     = !can(regex("--reply-key", var.serve_options))
    error_message = "The --reply-key of serve_options has a variable of its own: reply_key."
  }
  validation {
    condition     = !can(regex("--expect-repository", var.serve_options))
    error_message = "The --expect-repository of serve_options has a variable of its own: expect."
  }
}

locals {
  version = regex("blockferry-([0-9][^/]*)[.]tgz$", var.package)[0]
  name    = "blockferry-worker-${local.version}-${var.base}-${var.architecture}"
  bases = {
    al2023 = {
      owner = "137112412989" # Amazon
      image = "al2023-ami-2023.*-${var.architecture}"
      user  = "ec2-user"
    }
    debian12 = {
      owner = "136693071363" # Debian
      image = "debian-12-${var.architecture == "arm64" ? "arm64" : "amd64"}-*"
      user  = "admin"
    }
  }
  base         = local.bases[var.base]
  node_archive = "node-v${var.node_version}-linux-${var.architecture == "arm64" ? "arm64" : "x64"}.tar.xz"
  tags = {
    Name                 = local.name
    "blockferry:version" = local.version
    "blockferry:base"    = var.base
    "blockferry:node"    = var.node_version
    "blockferry:jobs"    = var.jobs
  }
}

source "amazon-ebs" "worker" {
  region        = var.region
  subnet_id     = var.subnet_id
  instance_type = var.instance_type != "" ? var.instance_type : var.architecture == "arm64" ? "c7g.large" : "c7i.large"

  source_ami_filter {
    filters = {
      name                = local.base.image
      architecture        = var.architecture
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = [local.base.owner]
    most_recent = true
  }

  # Only for the build, when only this machine may reach the instance. The finished AMI has no SSH.
  ssh_username                              = local.base.user
  ssh_interface                             = var.ssh_interface
  ssh_clear_authorized_keys                 = true
  temporary_key_pair_type                   = "ed25519"
  temporary_security_group_source_public_ip = true
  iam_instance_profile                      = var.builder_profile

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  ami_name        = "${local.name}-${formatdate("YYYYMMDDhhmmss", timestamp())}"
  ami_description = "blockferry ${local.version}: ${var.jobs}, on ${var.base} with Node.js ${var.node_version}"
  ami_users       = var.share_accounts
  snapshot_users  = var.share_accounts
  ena_support     = true
  imds_support    = "v2.0"
  encrypt_boot    = true
  kms_key_id      = var.kms_key_id

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = 8
    delete_on_termination = true
  }

  tags          = local.tags
  snapshot_tags = local.tags
  run_tags      = { Name = "${local.name}-build" }
}

build {
  sources = ["source.amazon-ebs.worker"]

  provisioner "shell" {
    inline = ["mkdir /tmp/blockferry"]
  }

  provisioner "file" {
    source      = var.package
    destination = "/tmp/blockferry/blockferry.tgz"
  }

  provisioner "file" {
    sources = [
      "${path.root}/../package-lock.json",
      "${path.root}/backup-only.conf",
      "${path.root}/blockferry-agent.service",
      "${path.root}/set-limits.sh",
    ]
    destination = "/tmp/blockferry/"
  }

  provisioner "shell" {
    script = "${path.root}/provision.sh"
    environment_vars = [
      "PAYLOAD=/tmp/blockferry",
      "NODE_ARCHIVE=https://nodejs.org/dist/v${var.node_version}/${local.node_archive}",
      "NODE_SHA256=${var.node_sha256}",
      "JOBS=${var.jobs}",
      "JOB_KEY=${var.job_key}",
      "REPLY_KEY=${var.reply_key}",
      "EXPECT=${var.expect}",
      "SERVE_OPTIONS=${var.serve_options}",
    ]
    execute_command = "sudo env {{ .Vars }} bash {{ .Path }}"
  }
}
